//! Request signatures: headers of REST requests and WebSocket upgrades.
//!
//! Runs on:  any (pure; time is an argument). A signature with a 2048-bit key takes about 1 ms.
//!
//! RSA-PSS with SHA-256 over timestamp, method and path; the salt has the digest's length (kalshi/protocol.md, 1).
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PSS_SHA256;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};

/// Maximum length of a key id, bytes: the venue's are UUIDs of 36.
const KEY_ID_BYTES_MAX: usize = 128;

/// A private key. `Debug` hides it.
pub struct SigningKey {
    key: KeyPair,
    random: SystemRandom,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Why a file has no usable key. *Report and exit.*
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key in the file.
    #[error(
        "holds no private key (a PEM that begins with BEGIN RSA PRIVATE KEY or BEGIN PRIVATE KEY)"
    )]
    NoPrivateKey,
    /// Password-protected.
    #[error("is encrypted; `openssl rsa -in FILE -out OTHER` writes it without a password")]
    Encrypted,
    /// Not RSA, or malformed.
    #[error("is no usable RSA key of 2048 to 4096 bits")]
    NotRsa,
}

/// Why a request cannot be signed. *Report; retry later.*
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key id is not a valid header value.
    #[error("the key's id must be visible ASCII without spaces, at most 128 bytes")]
    KeyId,
    /// The system returned no randomness.
    #[error("a request cannot be signed: the system gives no randomness")]
    NoRandomness,
}

impl SigningKey {
    /// Reads a key in PEM: PKCS#1, as the venue issues it, or PKCS#8.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let has = |marker: &[u8]| pem.windows(marker.len()).any(|window| window == marker);
        if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let key = if let Ok(der) = PrivatePkcs1KeyDer::from_pem_slice(pem) {
            KeyPair::from_der(der.secret_pkcs1_der())
        } else if let Ok(der) = PrivatePkcs8KeyDer::from_pem_slice(pem) {
            KeyPair::from_pkcs8(der.secret_pkcs8_der())
        } else if has(b"BEGIN EC PRIVATE KEY") {
            return Err(KeyError::NotRsa);
        } else {
            return Err(KeyError::NoPrivateKey);
        };
        let key = key.map_err(|_| KeyError::NotRsa)?;
        Ok(Self { key, random: SystemRandom::new() })
    }

    /// Headers of a request at `wall_ms`, milliseconds since the Unix epoch. A query in `path` is not signed.
    pub fn headers(
        &self,
        key_id: &str,
        wall_ms: u64,
        method: &str,
        path: &str,
    ) -> Result<[(&'static str, String); 3], SignError> {
        let fits = (1..=KEY_ID_BYTES_MAX).contains(&key_id.len());
        if !fits || !key_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SignError::KeyId);
        }
        let path = path.split('?').next().unwrap_or(path);
        let text = format!("{wall_ms}{method}{path}");
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &self.random, text.as_bytes(), &mut signature)
            .map_err(|_| SignError::NoRandomness)?;
        Ok([
            ("kalshi-access-key", key_id.to_owned()),
            ("kalshi-access-timestamp", wall_ms.to_string()),
            ("kalshi-access-signature", STANDARD.encode(signature)),
        ])
    }
}

#[cfg(test)]
mod tests;
