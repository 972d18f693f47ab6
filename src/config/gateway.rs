//! How clients reach the gateway: TLS, names of the venues, signatures; for every command that starts one.
//!
//! Runs on:  main thread, before anything starts.
use super::{Config, SettingError, impersonation};
use crate::base::limits::SETTINGS_BYTES_MAX;
use crate::base::time::SECOND_NS;
use crate::gateway::{hosts, signature::Keys};
use crate::io::{clock::HostClock, file, resolve::OwnNames};
use crate::wire::tls::server::{Certificates, Identity, IdentityError, server_config};
use clap::Args;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// TLS and signatures of the gateway.
#[derive(Args, Clone, Debug, Default)]
pub struct GatewayAccessFlags {
    /// Serve the gateway with TLS and this certificate (PEM, with the authorities between it and a root).
    #[arg(long, value_name = "FILE", requires = "gateway_key")]
    pub gateway_cert: Option<PathBuf>,

    /// The certificate's private key (PEM). Nobody but its owner may read it.
    #[arg(long, value_name = "FILE", requires = "gateway_cert")]
    pub gateway_key: Option<PathBuf>,

    /// Serve the gateway with TLS on one port under the venues' own names, for clients whose addresses are fixed:
    /// writes an authority, a certificate and lines for /etc/hosts into this folder, once.
    #[arg(long, value_name = "DIR")]
    pub gateway_impersonate: Option<PathBuf>,

    /// Refuse requests to Kalshi's interface that are not signed with the private key of this public key (PEM).
    /// Repeatable.
    #[arg(long, value_name = "KEY-ID=FILE")]
    pub gateway_verify: Vec<String>,

    /// Serve the gateway without TLS on an address that is not of this host.
    #[arg(long)]
    pub gateway_insecure: bool,
}

impl GatewayAccessFlags {
    /// The first flag that is set.
    fn first(&self) -> Option<&'static str> {
        let flags = [
            ("gateway-cert", self.gateway_cert.is_some()),
            ("gateway-impersonate", self.gateway_impersonate.is_some()),
            ("gateway-verify", !self.gateway_verify.is_empty()),
            ("gateway-insecure", self.gateway_insecure),
        ];
        flags.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}

/// TLS and signatures of the gateway, checked.
#[derive(Clone, Debug, Default)]
pub struct GatewayAccess {
    /// An address that is not of this host is allowed without TLS.
    pub(crate) insecure: bool,
    /// Public keys of clients.
    pub(crate) keys: Keys,
    /// The folder of `--gateway-impersonate`.
    pub(crate) impersonates: Option<PathBuf>,
    /// The names that it is served by.
    names: Vec<&'static str>,
    certificates: Certificates,
}

impl GatewayAccess {
    /// Settings from the flags; `venues` are those that the gateway serves. Reads the files that the flags name;
    /// writes nothing: `--gateway-impersonate` needs [`GatewayAccess::prepare`] before the gateway starts.
    ///
    /// # Errors
    /// A file is unusable: one line.
    pub fn from_flags<'v>(
        flags: &GatewayAccessFlags,
        venues: impl IntoIterator<Item = &'v str>,
    ) -> Result<Self, SettingError> {
        let mut access = Self { insecure: flags.gateway_insecure, ..Self::default() };
        if let (Some(certificate), Some(key)) = (&flags.gateway_cert, &flags.gateway_key) {
            access.certificate(certificate, key)?;
        }
        for text in &flags.gateway_verify {
            let parts = text.split_once('=').filter(|(id, _)| !id.is_empty());
            let (id, file) = parts.ok_or_else(|| {
                SettingError(format!(
                    "gateway-verify {text}: name a key's id and the file of its public key, as in ID=public.pem"
                ))
            })?;
            access.verify(id, Path::new(file))?;
        }
        if let Some(folder) = &flags.gateway_impersonate {
            if folder.exists() && !folder.is_dir() {
                let folder = folder.display();
                let why = format!("gateway-impersonate {folder}: this is no folder");
                return Err(SettingError(why));
            }
            access.names = venues.into_iter().flat_map(hosts::names_of).collect();
            access.impersonates = Some(folder.clone());
        }
        Ok(access)
    }

    /// Writes the files of `--gateway-impersonate` for clients that find the gateway at `address`, and reads them.
    ///
    /// # Errors
    /// A file cannot be read or written: one line.
    pub fn prepare(&mut self, address: SocketAddr) -> Result<(), SettingError> {
        let Some(folder) = &self.impersonates else { return Ok(()) };
        let identity = impersonation::prepare(folder, address.ip(), &self.names, wall_s());
        let identity =
            identity.map_err(|line| SettingError(format!("gateway-impersonate {line}")))?;
        let names = self.names.iter().map(|&name| name.to_owned()).collect();
        self.certificates.named = Some((identity, names));
        Ok(())
    }

    /// Serves with TLS and this certificate (PEM).
    ///
    /// # Errors
    /// A file is unusable, others may read the key, the two do not belong together, or the certificate has expired.
    pub fn certificate(&mut self, certificate: &Path, key: &Path) -> Result<(), SettingError> {
        let fault = |name: &str, what: String| SettingError(format!("gateway-{name} {what}"));
        let chain = file::read_small(certificate, SETTINGS_BYTES_MAX);
        let chain = chain.map_err(|why| fault("cert", why))?;
        let private = file::read_private(key).map_err(|why| fault("key", why))?;
        let of = |error: IdentityError| match error {
            IdentityError::Key(_) | IdentityError::Mismatch => {
                fault("key", format!("{}: {error}", key.display()))
            }
            _ => fault("cert", format!("{}: {error}", certificate.display())),
        };
        let identity = Identity::from_pem(&chain, &private).map_err(of)?;
        identity.check_period(wall_s()).map_err(of)?;
        self.certificates.default = Some(identity);
        Ok(())
    }

    /// Verifies the signatures of a key's requests with its public key (PEM).
    ///
    /// # Errors
    /// The file is unreadable or holds no RSA public key.
    pub fn verify(&mut self, id: &str, path: &Path) -> Result<(), SettingError> {
        let fault = |what: String| SettingError(format!("gateway-verify {id}={what}"));
        let pem = file::read_small(path, SETTINGS_BYTES_MAX).map_err(fault)?;
        let added = self.keys.add(id, &pem);
        added.map_err(|why| fault(format!("{}: {why}", path.display())))
    }

    /// Whether the gateway may listen at this address.
    ///
    /// # Errors
    /// It is not of this host, without TLS.
    pub fn check(&self, address: SocketAddr) -> Result<(), SettingError> {
        let has_tls = !self.certificates.is_empty() || self.impersonates.is_some();
        let is_safe = self.insecure || has_tls;
        if is_safe || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        Err(SettingError(format!(
            "gateway {address}: without TLS anybody on the way can read and change what clients receive; give it a certificate (--gateway-cert, --gateway-key), use an address of this host, as 127.0.0.1:{}, or allow it (`insecure`, --gateway-insecure)",
            address.port()
        )))
    }

    /// The configuration of TLS; `None`: plain text.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        server_config(self.certificates.clone())
    }

    /// The names that the gateway serves in the venues' place at `address`.
    #[must_use]
    pub fn own_names(&self, address: SocketAddr) -> OwnNames {
        if self.impersonates.is_none() {
            return OwnNames::default();
        }
        let names = hosts::HOSTS.iter().map(|(name, _)| *name).collect();
        OwnNames { names, listen: Some(address.ip()) }
    }

    /// What is left to do after the start, one line each, for a gateway at `address`.
    #[must_use]
    pub fn advice(&self, address: SocketAddr) -> Vec<String> {
        self.impersonates
            .as_deref()
            .map_or_else(Vec::new, |dir| impersonation::advice(dir, address))
    }
}

impl Config {
    /// The names that the gateway serves in the venues' place.
    #[must_use]
    pub(crate) fn own_names(&self) -> OwnNames {
        let names = |address| self.gateway_access.own_names(address);
        self.gateway.map(names).unwrap_or_default()
    }

    /// The gateway's address, TLS and signatures from their flags; after the venues, and before
    /// [`Config::prepare_gateway`].
    ///
    /// # Errors
    /// A flag without `--gateway`, or an unusable one.
    pub(crate) fn gateway_flags(
        &mut self,
        address: Option<SocketAddr>,
        flags: &GatewayAccessFlags,
    ) -> Result<(), SettingError> {
        let Some(address) = address else {
            return match flags.first() {
                Some(flag) => Err(SettingError(format!("{flag} needs --gateway ADDRESS"))),
                None => Ok(()),
            };
        };
        let venues: Vec<_> = self.venues.iter().map(|venue| venue.feed.venue()).collect();
        let names = venues.iter().map(|venue| venue.name());
        self.gateway_access = GatewayAccess::from_flags(flags, names)?;
        self.gateway(address, flags.gateway_insecure)?;
        self.gateway_access.check(address)
    }

    /// Writes what the gateway needs.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub(crate) fn prepare_gateway(&mut self) -> Result<(), SettingError> {
        self.gateway.map_or(Ok(()), |address| self.gateway_access.prepare(address))
    }
}

/// Seconds since the Unix epoch.
fn wall_s() -> u64 {
    HostClock::new().now().wall_ns / SECOND_NS
}
