//! Signatures of the test key, and other keys.
use super::*;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PSS_SHA256;
use rustls::pki_types::PrivatePkcs8KeyDer;

const PRIVATE: &[u8] = include_bytes!("../../../../tests/keys/rsa-pkcs8.pem");
const PUBLIC: &[u8] = include_bytes!("../../../../tests/keys/rsa-public.pem");
const NOW_MS: u64 = 1_790_000_000_000;
const WEBSOCKET: &str = "/trade-api/ws/v2";

fn sign(text: &str) -> String {
    let der = PrivatePkcs8KeyDer::from_pem_slice(PRIVATE).unwrap();
    let key = KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
    STANDARD.encode(signature)
}

fn signature(key: &str, time: u64, text: &str) -> Signature {
    Signature { key: key.into(), timestamp: time.to_string(), text: sign(text) }
}

fn result(signature: Option<&Signature>, path: &str, is_upgrade: bool) -> Option<String> {
    let mut keys = Keys::default();
    keys.add("id", PUBLIC).unwrap();
    let site = Site::Kalshi;
    let request = SignedRequest { site, method: "GET", path, is_upgrade, signature };
    let answer = keys.check(&request, NOW_MS).err()?;
    assert_eq!(answer.status, 401);
    assert!(answer.body.starts_with(r#"{"code":"authentication_error","#), "{}", answer.body);
    Some(answer.body)
}

#[test]
fn a_signature_is_right_for_its_key_time_method_and_path() {
    let text = |time: u64| format!("{time}GET{WEBSOCKET}");
    let good = signature("id", NOW_MS - 30_000, &text(NOW_MS - 30_000));
    assert_eq!(result(Some(&good), WEBSOCKET, true), None);
    let wrong = |signature: &Signature, why: &str| {
        let body = result(Some(signature), WEBSOCKET, true).unwrap();
        assert!(body.contains(why), "{body}");
    };
    wrong(&Signature { key: "other".into(), ..good.clone() }, "key is unknown");
    wrong(&signature("id", NOW_MS - 30_001, &text(NOW_MS - 30_001)), "timestamp");
    wrong(&signature("id", NOW_MS + 30_001, &text(NOW_MS + 30_001)), "timestamp");
    wrong(&Signature { timestamp: "now".into(), ..good.clone() }, "timestamp");
    wrong(&Signature { timestamp: NOW_MS.to_string(), ..good.clone() }, "signature is wrong");
    wrong(&Signature { text: String::new(), ..good.clone() }, "signature is wrong");
    wrong(&Signature { text: "?".into(), ..good.clone() }, "signature is wrong");
    wrong(&signature("id", NOW_MS, &format!("{NOW_MS}POST{WEBSOCKET}")), "signature is wrong");
    wrong(&Signature::default(), "key is unknown");
}

#[test]
fn what_the_venue_answers_to_everybody_needs_no_signature() {
    let many = "/trade-api/v2/markets/orderbooks";
    for (path, is_upgrade) in [(WEBSOCKET, true), ("/", true), (many, false)] {
        assert!(result(None, path, is_upgrade).is_some(), "{path}");
    }
    for path in ["/trade-api/v2/exchange/status", "/v1/stream"] {
        assert_eq!(result(None, path, path == "/v1/stream"), None, "{path}");
    }
    let wrong = signature("id", NOW_MS, "another text");
    assert!(result(Some(&wrong), "/trade-api/v2/exchange/status", false).is_some());
    let request = SignedRequest {
        site: Site::Kalshi,
        method: "GET",
        path: WEBSOCKET,
        is_upgrade: true,
        signature: Some(&wrong),
    };
    assert_eq!(Keys::default().check(&request, NOW_MS), Ok(()), "nothing is verified");
}

#[test]
fn only_an_rsa_key_is_taken() {
    let elliptic = rcgen::KeyPair::generate().unwrap().public_key_pem();
    for pem in [&b""[..], PRIVATE, elliptic.as_bytes(), &PUBLIC[..PUBLIC.len() / 2]] {
        assert!(Keys::default().add("id", pem).is_err());
    }
}
