//! TLS server over memory: its certificates, and one connection.
//!
//! Runs on:  main thread (certificates), serve core (connections); pure. Owns: one rustls connection.
//! Bounds:   one TLS record (16 KiB) of plaintext; the caller bounds the output, which it takes with
//!           [`ServerSession::poll_ciphertext`].
use super::memory::MemoryConnection;
use super::{one_line, provider};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, Error, InconsistentKeys, RootCertStore, ServerConfig, ServerConnection,
};
use std::io::{ErrorKind, Read as _};
use std::sync::Arc;
use std::time::Duration;

/// Why a certificate cannot be served. *Report and exit.* Each is the end of a sentence about the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate in the file, or an unreadable one.
    #[error(
        "has no usable certificate ({0}); it must be a PEM with the server's certificate first"
    )]
    Certificate(String),
    /// No private key in the file, or an unusable one.
    #[error("has no usable private key ({0}); it must be an unencrypted PEM")]
    Key(String),
    /// The certificate has another public key.
    #[error("does not belong to the certificate: name the key that it was issued for")]
    Mismatch,
    /// The certificate is past its end.
    #[error("has expired; renew it")]
    Expired,
    /// The certificate is not valid yet.
    #[error("is not valid yet; check this host's clock")]
    NotYetValid,
    /// Another authority signed it, or it is for other names.
    #[error("is not what its authority signs for these names ({0})")]
    NotTrusted(String),
}

/// A certificate chain and its private key. `Debug` hides the key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Identity").field(&self.0.cert.len()).finish()
    }
}

impl Identity {
    /// Reads a chain, the server's certificate first, and its key (PKCS#8, PKCS#1 or SEC1), both in PEM.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`], [`IdentityError::Key`], [`IdentityError::Mismatch`].
    pub fn from_pem(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(chain_pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| IdentityError::Certificate(one_line(&error)))?;
        if chain.is_empty() {
            return Err(IdentityError::Certificate("it holds none".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| match error {
            pem::Error::NoItemsFound => IdentityError::Key("it holds none".into()),
            error => IdentityError::Key(one_line(&error)),
        })?;
        let key = CertifiedKey::from_der(chain, key, &provider::default_provider());
        key.map(|key| Self(Arc::new(key))).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => IdentityError::Mismatch,
            Error::InvalidCertificate(why) => IdentityError::Certificate(one_line(&why)),
            error => IdentityError::Key(one_line(&error)),
        })
    }

    /// Whether the certificate is in its period of validity at `wall_s`, seconds since the Unix epoch, whoever signed
    /// it.
    ///
    /// # Errors
    /// [`IdentityError::Expired`], [`IdentityError::NotYetValid`], [`IdentityError::Certificate`] if it is malformed.
    pub fn check_period(&self, wall_s: u64) -> Result<(), IdentityError> {
        let mut roots = RootCertStore::empty();
        // The verifier needs an authority; the period is checked before the issuer.
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().take(1).cloned());
        match self.verify(roots, "localhost", wall_s) {
            Err(
                error @ (IdentityError::Expired
                | IdentityError::NotYetValid
                | IdentityError::Certificate(_)),
            ) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether a client that trusts `authority_pem` alone accepts the certificate for every name at `wall_s`.
    ///
    /// # Errors
    /// The first reason not to.
    pub fn check_names(
        &self,
        authority_pem: &[u8],
        names: &[&str],
        wall_s: u64,
    ) -> Result<(), IdentityError> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(authority_pem);
        let authority = authority.map_err(|e| IdentityError::Certificate(one_line(&e)))?;
        roots.add(authority).map_err(|error| IdentityError::Certificate(one_line(&error)))?;
        names.iter().try_for_each(|name| self.verify(roots.clone(), name, wall_s))
    }

    fn verify(&self, roots: RootCertStore, name: &str, wall_s: u64) -> Result<(), IdentityError> {
        let other = |error: &dyn std::fmt::Display| IdentityError::NotTrusted(one_line(&error));
        let provider = Arc::new(provider::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|error| other(&error))?;
        let name = super::server_name(name).map_err(|error| other(&error))?;
        let Some((leaf, rest)) = self.0.cert.split_first() else { return Ok(()) };
        let time = UnixTime::since_unix_epoch(Duration::from_secs(wall_s));
        match verifier.verify_server_cert(leaf, rest, &name, &[], time) {
            Ok(_) => Ok(()),
            Err(Error::InvalidCertificate(why)) => Err(match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    IdentityError::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    IdentityError::NotYetValid
                }
                CertificateError::BadEncoding => IdentityError::Certificate(one_line(&why)),
                why => other(&why),
            }),
            Err(error) => Err(other(&error)),
        }
    }
}

/// The certificates of a server.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// For names that none of `named` has, and for clients that send no name.
    pub default: Option<Identity>,
    /// For these names, lower case.
    pub named: Option<(Identity, Vec<String>)>,
}

impl Certificates {
    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.default.is_none() && self.named.is_none()
    }

    fn choose(&self, name: Option<&str>) -> Option<&Identity> {
        let (named, default) = (self.named.as_ref(), self.default.as_ref());
        let has_name = |names: &[String]| {
            name.is_some_and(|name| names.iter().any(|other| other.eq_ignore_ascii_case(name)))
        };
        match named {
            Some((identity, names)) if default.is_none() || has_name(names) => Some(identity),
            _ => default,
        }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name()).map(|identity| Arc::clone(&identity.0))
    }
}

/// A configuration that serves these certificates with TLS 1.2 and 1.3; ALPN is `http/1.1`. `None` without any.
pub fn server_config(certificates: Certificates) -> Option<Arc<ServerConfig>> {
    if certificates.is_empty() {
        return None;
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

/// What there is to read from a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plaintext {
    /// This many bytes, one at least.
    Bytes(usize),
    /// Nothing before more ciphertext comes.
    Nothing,
    /// The client has ended its stream.
    End,
}

/// A violation of the TLS protocol, or a refused handshake: the caller sends what [`ServerSession::poll_ciphertext`]
/// returns (the alert) and closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServerTlsError(String);

/// One TLS connection of a server, without its socket.
#[derive(Debug)]
pub struct ServerSession {
    connection: MemoryConnection<ServerConnection>,
}

impl ServerSession {
    /// A session that waits for a client's handshake.
    ///
    /// # Errors
    /// rustls refuses the configuration, which does not happen with [`server_config`].
    pub fn new(config: &Arc<ServerConfig>) -> Result<Self, ServerTlsError> {
        let connection = ServerConnection::new(Arc::clone(config));
        let connection = connection.map_err(|error| ServerTlsError(one_line(&error)))?;
        Ok(Self { connection: MemoryConnection::new(connection) })
    }

    /// Takes bytes from the socket, as many as one step of rustls takes, and returns their number. Before the next call
    /// the plaintext must be read until there is none.
    ///
    /// # Errors
    /// The connection must be closed.
    pub fn handle_ciphertext(&mut self, mut bytes: &[u8]) -> Result<usize, ServerTlsError> {
        let fault = |error: &dyn std::fmt::Display| ServerTlsError(one_line(&error));
        let (taken, processed) = self.connection.read(&mut bytes).map_err(|error| fault(&error))?;
        processed.map_err(|error| fault(&error))?;
        Ok(taken)
    }

    /// Moves plaintext into `into`, which is not empty.
    pub fn read_plaintext(&mut self, into: &mut [u8]) -> Plaintext {
        match self.connection.plaintext().read(into) {
            Ok(0) => Plaintext::End,
            Ok(count) => Plaintext::Bytes(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Plaintext::Nothing,
            Err(_) => Plaintext::End,
        }
    }

    /// Encrypts `bytes`; after the handshake.
    ///
    /// # Errors
    /// The session has failed.
    pub fn write_plaintext(&mut self, bytes: &[u8]) -> Result<(), ServerTlsError> {
        self.connection.write(bytes).map_err(|error| ServerTlsError(one_line(&error)))
    }

    /// Appends all pending output to `out`.
    pub fn poll_ciphertext(&mut self, out: &mut Vec<u8>) {
        self.connection.poll_ciphertext(out);
    }

    /// Whether the handshake is incomplete.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// The host name that the client has asked for, lower case (SNI).
    pub fn server_name(&self) -> Option<&str> {
        self.connection.server_name()
    }

    /// Queues `close_notify`.
    pub fn close_notify(&mut self) {
        self.connection.close_notify();
    }
}

#[cfg(test)]
mod tests;
