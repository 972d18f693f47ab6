//! Verification of signed upgrades (kalshi/protocol.md, 1).
//!
//! Runs on:  the venue's thread (pure).
use super::super::config::SimError;
use super::super::request::Request;
use super::config::KalshiConfig;
use crate::base::public_key::rsa_key;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

/// Requirements on a client.
#[derive(Debug)]
pub(super) struct Door {
    key_id: Option<String>,
    /// PKCS#1.
    key: Option<Vec<u8>>,
    skew_ms_max: u64,
}

impl Door {
    pub(super) fn new(config: &KalshiConfig) -> Result<Self, SimError> {
        let wrong = || SimError::Config("the public key is no RSA key in PEM".to_owned());
        let key = match &config.public_key {
            Some(pem) => {
                let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| wrong())?;
                Some(rsa_key(der.as_ref()).ok_or_else(wrong)?)
            }
            None => None,
        };
        Ok(Self { key_id: config.key_id.clone(), key, skew_ms_max: config.skew_ms_max })
    }

    /// Whether a request is signed by the configured key at about the present time.
    pub(super) fn admits(&self, request: &Request, now_ms: u64) -> bool {
        let value = |name: &str| {
            let found = request.signed.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value.as_str())
        };
        let (Some(id), Some(time), Some(signature)) = (
            value("kalshi-access-key"),
            value("kalshi-access-timestamp"),
            value("kalshi-access-signature"),
        ) else {
            return false;
        };
        let fresh = time.parse::<u64>().is_ok_and(|ms| ms.abs_diff(now_ms) <= self.skew_ms_max);
        if !fresh || self.key_id.as_ref().is_some_and(|known| known != id) {
            return false;
        }
        let Some(key) = &self.key else { return true };
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        let text = format!("{time}{}{}", request.method, request.path);
        let key = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key);
        key.verify(text.as_bytes(), &signature).is_ok()
    }
}
