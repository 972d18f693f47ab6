//! Generates the venue's certificate authority at every start.
//!
//! Runs on:  the thread that starts the venue.
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use rustls::ServerConfig;
#[cfg(not(feature = "tls-ring"))]
use rustls::crypto::aws_lc_rs as crypto;
#[cfg(feature = "tls-ring")]
use rustls::crypto::ring as crypto;
use rustls_pki_types::PrivateKeyDer;

use super::config::SimError;

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// TLS, if it is wanted: a server configuration for [`NAMES`], and the certificate authority in PEM.
pub(super) fn tls(
    is_wanted: bool,
) -> Result<(Option<Arc<ServerConfig>>, Option<String>), SimError> {
    Ok(is_wanted.then(make_authority).transpose()?.unzip())
}

fn make_authority() -> Result<(Arc<ServerConfig>, String), SimError> {
    let fault = |error: rcgen::Error| SimError::Certificate(error.to_string());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ringbook simulated venue");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(fault)?;
    let authority = CertifiedIssuer::self_signed(params, key).map_err(fault)?;

    let names = NAMES.map(str::to_owned).to_vec();
    let mut params = CertificateParams::new(names).map_err(fault)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(fault)?;
    let leaf = params.signed_by(&key, &authority).map_err(fault)?;

    let fault = |error: rustls::Error| SimError::Certificate(error.to_string());
    let private = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|error| SimError::Certificate(error.to_owned()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .map_err(fault)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), authority.pem()))
}
