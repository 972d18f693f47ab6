//! A key pair that is used in these tests only, in both forms.
use super::*;
use ring::rsa::PublicKeyComponents;
use ring::signature::RSA_PSS_2048_8192_SHA256;

const PKCS1: &[u8] = include_bytes!("../../../../tests/keys/rsa-pkcs1.pem");
const PKCS8: &[u8] = include_bytes!("../../../../tests/keys/rsa-pkcs8.pem");
const PUBLIC: &[u8] = include_bytes!("../../../../tests/keys/rsa-public.pem");
const PATH: &str = "/trade-api/ws/v2";

#[test]
fn both_forms_of_a_key_give_signatures_that_the_public_key_verifies() {
    for pem in [PKCS1, PKCS8] {
        let key = SigningKey::from_pem(pem).unwrap();
        let path = format!("{PATH}?x=1");
        let headers = key.headers("a-key-id", 1_703_123_456_789, "GET", &path).unwrap();
        let [(_, id), (_, time), (name, signature)] = &headers;
        assert_eq!((&**id, &**time), ("a-key-id", "1703123456789"));
        assert_eq!(*name, "kalshi-access-signature");
        let signature = STANDARD.decode(signature).unwrap();
        let public = PublicKeyComponents::<Vec<u8>>::from(key.key.public());
        let signed = |text: &str| {
            public.verify(&RSA_PSS_2048_8192_SHA256, text.as_bytes(), &signature).is_ok()
        };
        assert!(signed(&format!("1703123456789GET{PATH}")), "the query is not signed");
        assert!(!signed(&format!("1703123456788GET{PATH}")) && !signed(&path));
    }
}

#[test]
fn an_invalid_key_file_is_refused_with_the_remedy() {
    let error = |pem: &[u8]| SigningKey::from_pem(pem).unwrap_err();
    assert_eq!(error(b""), KeyError::NoPrivateKey);
    assert_eq!(error(PUBLIC), KeyError::NoPrivateKey);
    assert_eq!(error(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), KeyError::Encrypted);
    assert_eq!(error(b"-----BEGIN EC PRIVATE KEY-----\n"), KeyError::NotRsa);
    let torn: Vec<u8> = PKCS1.iter().copied().filter(|&b| b != b'A').collect();
    assert!(matches!(error(&torn), KeyError::NotRsa | KeyError::NoPrivateKey));
    assert!(error(PUBLIC).to_string().contains("BEGIN RSA PRIVATE KEY"));
}

#[test]
fn debug_hides_the_key_and_its_id_cannot_break_a_header() {
    let key = SigningKey::from_pem(PKCS1).unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey(..)");
    for id in ["", "a b", "a\r\nx: y", "\u{e9}", &"x".repeat(129)] {
        assert_eq!(key.headers(id, 1, "GET", PATH).unwrap_err(), SignError::KeyId, "{id:?}");
    }
}
