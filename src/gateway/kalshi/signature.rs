//! Verification of signed requests.
//!
//! Runs on:  serve core (pure; time is an argument). A verification takes some 40 µs. Owns: the clients' public keys.
//!
//! As at the venue (docs.kalshi.com, page "API keys"): RSA-PSS with SHA-256 and a salt of 32 bytes over timestamp,
//! method and path without query. A WebSocket and `/markets/orderbooks` need a signature; on other requests a wrong one
//! is refused. The clock skew that the venue accepts is not documented.
use super::rest::unauthorized;
use crate::base::limits::GATEWAY_SIGNATURE_AGE_MS;
use crate::base::public_key::rsa_key;
use crate::gateway::Site;
use crate::gateway::rest::Answer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use std::collections::BTreeMap;

/// Names of the headers: key id, timestamp in Unix milliseconds, signature in base64.
pub const HEADERS: [&str; 3] =
    ["kalshi-access-key", "kalshi-access-timestamp", "kalshi-access-signature"];

/// Values of [`HEADERS`]; empty where a header is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signature {
    /// Id of the key.
    pub key: String,
    /// Unix milliseconds.
    pub timestamp: String,
    /// Base64.
    pub text: String,
}

/// What is signed of a request.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The interface.
    pub site: Site,
    /// `GET` or another.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// It asks for a WebSocket.
    pub is_upgrade: bool,
    /// Its headers, if it has one of them.
    pub signature: Option<&'a Signature>,
}

/// Public keys by their ids. Without any, signatures are not verified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, Vec<u8>>);

impl Keys {
    /// Adds a key: a PEM that begins with BEGIN PUBLIC KEY.
    ///
    /// # Errors
    /// It is no RSA key of 2,048 to 8,192 bits, as the end of a sentence about the file.
    pub fn add(&mut self, id: &str, pem: &[u8]) -> Result<(), &'static str> {
        let wrong = "holds no RSA public key of 2048 to 8192 bits (a PEM that begins with BEGIN PUBLIC KEY); \
                     `openssl rsa -in PRIVATE.pem -pubout` prints it";
        let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(|_| wrong)?;
        let key = rsa_key(der.as_ref()).ok_or(wrong)?;
        self.0.insert(id.to_owned(), key);
        Ok(())
    }

    /// Checks a request at `now_ms`, Unix milliseconds.
    ///
    /// # Errors
    /// The answer 401.
    pub fn check(&self, request: &SignedRequest<'_>, now_ms: u64) -> Result<(), Answer> {
        let SignedRequest { site, method, path, is_upgrade, signature } = *request;
        let is_venues = site == Site::Kalshi && (path == "/" || path.starts_with("/trade-api/"));
        if self.0.is_empty() || !is_venues {
            return Ok(());
        }
        let Some(Signature { key, timestamp, text }) = signature else {
            return match is_upgrade || path.ends_with("/markets/orderbooks") {
                true => Err(unauthorized("the request must be signed")),
                false => Ok(()),
            };
        };
        let Some(public) = self.0.get(key) else {
            return Err(unauthorized("the key is unknown"));
        };
        let time = timestamp.parse::<u64>();
        if !time.is_ok_and(|time| time.abs_diff(now_ms) <= GATEWAY_SIGNATURE_AGE_MS) {
            return Err(unauthorized("the timestamp is not within 30 s of the present time"));
        }
        let signed = format!("{timestamp}{method}{path}");
        let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public);
        let signature = STANDARD.decode(text).unwrap_or_default();
        let verified = public.verify(signed.as_bytes(), &signature);
        verified.map_err(|_| unauthorized("the signature is wrong"))
    }
}

#[cfg(test)]
mod tests;
