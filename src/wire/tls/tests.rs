//! Authorities, server names and texts of errors.
use super::*;

const fn needs_send<T: Send>() {}

#[test]
fn a_session_may_move_between_threads() {
    needs_send::<TlsSession>();
}

#[test]
fn a_ca_file_without_certificates_is_refused_with_a_reason() {
    for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        let error = client_config(Some(text.as_bytes())).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the file of the certificate authority (`tls_ca`, --tls-ca) is unusable: it holds no certificate in PEM form"
        );
    }
    for text in [
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
    ] {
        let error = client_config(Some(text.as_bytes())).unwrap_err().to_string();
        assert!(error.contains("--tls-ca") && error.contains("certificate 1"), "{error}");
    }
}

#[test]
fn several_authorities_in_one_file_are_all_trusted() {
    let authority = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.self_signed(&key).unwrap().pem()
    };
    let both = format!("{}\n# a remark\n{}", authority(), authority());
    assert!(client_config(Some(both.as_bytes())).is_ok());
    assert!(client_config(None).is_ok());
}

#[test]
fn names_and_addresses_are_server_names() {
    for good in ["localhost", "clob.polymarket.com", "127.0.0.1", "::1", "[::1]"] {
        assert!(server_name(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "https://x"] {
        assert_eq!(server_name(bad), Err(TlsError::ServerName(bad.to_owned())));
    }
}

#[test]
fn plain_text_from_the_server_is_recognized() {
    let config = client_config(None).unwrap();
    let mut session = TlsSession::new(&config, "localhost").unwrap();
    assert!(session.is_handshaking());
    let mut out = Vec::new();
    session.poll_ciphertext(&mut out);
    assert_eq!(out[0], 22, "a handshake record");
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    let error = session.handle_ciphertext(answer, &mut |_| panic!("no plaintext")).unwrap_err();
    assert_eq!(error, TlsError::NotTls);
}

#[test]
fn certificate_names_are_shown_on_one_line_and_cut() {
    let config = client_config(None).unwrap();
    let session = TlsSession::new(&config, "localhost").unwrap();
    let mut presented = vec!["\x1b[31mEVIL\n[2026 INFO] forged\u{9b}\u{202e}".to_owned()];
    presented.extend((0..1_000).map(|i| format!("name-{i}.test")));
    let expected = server_name("localhost").unwrap();
    let why = CertificateError::NotValidForNameContext { expected, presented };
    let line = session.explain(rustls::Error::InvalidCertificate(why)).to_string();
    let start = "the certificate shown by localhost is for another name: \
                 \\u{1b}[31mEVIL\\n[2026 INFO] forged\\u{9b}\\u{202e}, name-0.test";
    assert!(line.starts_with(start), "{line}");
    assert!(line.len() < 600 && line.ends_with('…'), "{line}");
}
