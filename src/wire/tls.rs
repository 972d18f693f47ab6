//! TLS client over memory: ciphertext to plaintext and back.
//!
//! Runs on:  control core (handshake), then shards (pure). Owns: one rustls connection.
//! Bounds:   one TLS record (16 KiB) of plaintext; the caller bounds the output, which it takes with
//!           [`TlsSession::poll_ciphertext`].
mod memory;
pub mod server;

use crate::base::{limits::CERTIFICATE_BYTES_SHOWN, text};
use memory::MemoryConnection;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};
use std::io::BufRead as _;
use std::sync::Arc;

#[cfg(not(any(feature = "tls-ring", feature = "tls-aws-lc")))]
compile_error!("one of the features `tls-ring` (default) and `tls-aws-lc` must be on");

#[cfg(all(feature = "tls-aws-lc", not(feature = "tls-ring")))]
use rustls::crypto::aws_lc_rs as provider;
#[cfg(feature = "tls-ring")]
use rustls::crypto::ring as provider;

/// Why TLS failed. [`TlsError::CaFile`] and [`TlsError::ServerName`] occur before a connection exists; after the others
/// the caller sends what [`TlsSession::poll_ciphertext`] returns (the alert) and closes the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The file of `--tls-ca` has no usable certificate: *stop; the user must correct it*.
    #[error("the file of the certificate authority (`tls_ca`, --tls-ca) is unusable: {0}")]
    CaFile(String),
    /// The host is neither a DNS name nor an IP address: *stop; invalid configuration*.
    #[error("`{0}` is no host name and no IP address")]
    ServerName(String),
    /// The certificate's issuer is not trusted: *close, back off*.
    #[error(
        "the certificate of {server} is signed by an authority that is not trusted; \
         name that authority's file with `tls_ca` or --tls-ca"
    )]
    UnknownIssuer {
        /// The requested name.
        server: String,
    },
    /// The certificate is for another name: *close, back off*.
    #[error(
        "the certificate shown by {server} is for another name{}{presented}",
        if .presented.is_empty() { "" } else { ": " }
    )]
    NameMismatch {
        /// The requested name.
        server: String,
        /// Names in the certificate, comma separated; empty if rustls does not report them.
        presented: String,
    },
    /// The certificate is invalid for another reason, such as its dates: *close, back off*.
    #[error("the certificate of {server} is unusable: {why}")]
    Certificate {
        /// The requested name.
        server: String,
        /// The reason.
        why: String,
    },
    /// The server sent an alert: *close, back off*.
    #[error("the server ended TLS with the alert {0}")]
    Alert(String),
    /// The input is not TLS; often a plain-text port: *close, back off*.
    #[error("the server does not use TLS on this port")]
    NotTls,
    /// Another protocol violation of the server: *close, back off*.
    #[error("the server broke the TLS protocol: {0}")]
    Protocol(String),
}

/// A client configuration that trusts the public certificate authorities and those in `extra_ca_pem`. ALPN is
/// `http/1.1`, which WebSockets need too.
///
/// Use one configuration per core: its session cache is behind a lock.
///
/// # Errors
/// [`TlsError::CaFile`] if the PEM text has no certificate, or an unreadable one.
pub fn client_config(extra_ca_pem: Option<&[u8]>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(pem) = extra_ca_pem {
        add_authorities(&mut roots, pem)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn add_authorities(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), TlsError> {
    let mut found = 0usize;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        found += 1;
        let bad = |why: String| TlsError::CaFile(format!("certificate {found}: {why}"));
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if found == 0 {
        return Err(TlsError::CaFile("it holds no certificate in PEM form".to_owned()));
    }
    Ok(())
}

/// The name to verify: a DNS name or an IP address, IPv6 with or without brackets.
///
/// # Errors
/// [`TlsError::ServerName`] if `host` is neither.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::ServerName(host.to_owned()))
}

/// One TLS connection without its socket.
///
/// `Send`: the control core does the handshake, then a shard takes over.
#[derive(Debug)]
pub struct TlsSession {
    connection: MemoryConnection<ClientConnection>,
    server: String,
    closed_by_server: bool,
}

impl TlsSession {
    /// A session with the server `host`. The first handshake message is in [`TlsSession::poll_ciphertext`].
    ///
    /// # Errors
    /// [`TlsError::ServerName`]; [`TlsError::Protocol`] if rustls refuses the configuration, which does not happen with
    /// [`client_config`].
    pub fn new(config: &Arc<ClientConfig>, host: &str) -> Result<Self, TlsError> {
        let name = server_name(host)?;
        let connection = ClientConnection::new(Arc::clone(config), name)
            .map_err(|e| TlsError::Protocol(e.to_string()))?;
        let connection = MemoryConnection::new(connection);
        Ok(Self { connection, server: host.to_owned(), closed_by_server: false })
    }

    /// Decrypts bytes from the socket and delivers the plaintext in order. There may be output afterwards even without
    /// plaintext.
    ///
    /// # Errors
    /// The connection must be closed. Plaintext before the error was delivered.
    pub fn handle_ciphertext(
        &mut self,
        mut bytes: &[u8],
        sink: &mut impl FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        while !bytes.is_empty() {
            let read = self.connection.read(&mut bytes);
            let (taken, processed) = read.map_err(|e| TlsError::Protocol(e.to_string()))?;
            if taken == 0 {
                break;
            }
            self.drain(sink);
            let state = processed.map_err(|e| self.explain(e))?;
            self.closed_by_server |= state.peer_has_closed();
        }
        Ok(())
    }

    fn drain(&mut self, sink: &mut impl FnMut(&[u8])) {
        let mut reader = self.connection.plaintext();
        // `WouldBlock` and end of stream both mean that nothing is left.
        while let Ok(plaintext) = reader.fill_buf() {
            let length = plaintext.len();
            if length == 0 {
                return;
            }
            sink(plaintext);
            reader.consume(length);
        }
    }

    /// Queues `bytes` for encryption; during the handshake they wait for its end.
    ///
    /// # Errors
    /// [`TlsError::Protocol`] if the session has failed.
    pub fn write_plaintext(&mut self, bytes: &[u8]) -> Result<(), TlsError> {
        self.connection.write(bytes).map_err(|e| TlsError::Protocol(e.to_string()))
    }

    /// Appends all pending output to `out`.
    pub fn poll_ciphertext(&mut self, out: &mut Vec<u8>) {
        self.connection.poll_ciphertext(out);
    }

    /// Whether the handshake is incomplete.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether the server sent `close_notify`: an end of stream is then no truncation.
    pub const fn is_closed_by_server(&self) -> bool {
        self.closed_by_server
    }

    /// Queues `close_notify`; send [`TlsSession::poll_ciphertext`], then close.
    pub fn close_notify(&mut self) {
        self.connection.close_notify();
    }

    fn explain(&self, error: rustls::Error) -> TlsError {
        let server = self.server.clone();
        match error {
            rustls::Error::InvalidCertificate(why) => match why {
                CertificateError::UnknownIssuer => TlsError::UnknownIssuer { server },
                CertificateError::NotValidForName => {
                    TlsError::NameMismatch { server, presented: String::new() }
                }
                CertificateError::NotValidForNameContext { presented, .. } => {
                    TlsError::NameMismatch { server, presented: shown(&presented.join(", ")) }
                }
                // Two authorities with one name: usual with private authorities.
                CertificateError::BadSignature => TlsError::Certificate {
                    server,
                    why: "another authority than the trusted one of the same name signed it; \
                          see `tls_ca` or --tls-ca"
                        .to_owned(),
                },
                other => TlsError::Certificate { server, why: one_line(&other) },
            },
            rustls::Error::AlertReceived(alert) => TlsError::Alert(format!("{alert:?}")),
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
                TlsError::NotTls
            }
            other => TlsError::Protocol(one_line(&other)),
        }
    }
}

fn one_line(what: &impl std::fmt::Display) -> String {
    shown(&what.to_string())
}

/// Certificate content is untrusted: escaped, one line, cut.
fn shown(what: &str) -> String {
    text::one_line_of(what.as_bytes(), CERTIFICATE_BYTES_SHOWN)
}

#[cfg(test)]
mod tests;
