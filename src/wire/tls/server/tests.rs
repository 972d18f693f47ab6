//! A server against the client of this crate, over memory.
use super::*;
use crate::wire::tls::{TlsSession, client_config};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

const NOW_S: u64 = 1_790_000_000;

/// A self-signed certificate and its key, both PEM, for the years `[from, to)`.
fn make(name: &str, [from, to]: [i32; 2]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn identity((chain, key): &(String, String)) -> Identity {
    Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap()
}

#[test]
fn a_certificate_is_checked_before_it_is_served() {
    let one @ (chain, key) = &make("localhost", [2020, 2040]);
    let (other, _) = &make("localhost", [2020, 2040]);
    let error =
        |chain: &str, key: &str| Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
    assert_eq!(error(other, key), IdentityError::Mismatch);
    for text in ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", key] {
        assert!(matches!(error(text, key), IdentityError::Certificate(_)), "{text}");
    }
    for text in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", chain] {
        assert!(matches!(error(chain, text), IdentityError::Key(_)), "{text}");
    }
    assert_eq!(identity(one).check_period(NOW_S), Ok(()), "whoever signed it");
    assert_eq!(identity(one).check_names(chain.as_bytes(), &["localhost"], NOW_S), Ok(()));
    let foreign = identity(one).check_names(chain.as_bytes(), &["localhost", "x.test"], NOW_S);
    assert!(matches!(foreign, Err(IdentityError::NotTrusted(_))), "{foreign:?}");
    let unsigned = identity(one).check_names(other.as_bytes(), &["localhost"], NOW_S);
    assert!(unsigned.is_err());
    let old = identity(&make("localhost", [2020, 2021]));
    assert_eq!(old.check_period(NOW_S), Err(IdentityError::Expired));
    let new = identity(&make("localhost", [2040, 2041]));
    assert_eq!(new.check_period(NOW_S), Err(IdentityError::NotYetValid));
    assert_eq!(format!("{new:?}"), "Identity(1)");
}

#[test]
fn the_name_chooses_the_certificate() {
    let [own, venues] = ["own.test", "venue.test"].map(|name| identity(&make(name, [2020, 2040])));
    let same = |a: Option<&Identity>, b: &Identity| a.is_some_and(|a| Arc::ptr_eq(&a.0, &b.0));
    let mut both = Certificates {
        default: Some(own.clone()),
        named: Some((venues.clone(), vec!["venue.test".into()])),
    };
    assert!(same(both.choose(Some("Venue.Test")), &venues));
    assert!(same(both.choose(Some("own.test")), &own) && same(both.choose(None), &own));
    both.default = None;
    assert!(same(both.choose(Some("own.test")), &venues) && same(both.choose(None), &venues));
    assert!(Certificates::default().choose(None).is_none());
    assert!(server_config(Certificates::default()).is_none());
}

/// Client, server, and what the server reads in small pieces.
struct Pair {
    client: TlsSession,
    server: ServerSession,
    read: Vec<u8>,
    ended: bool,
}

impl Pair {
    fn new() -> Self {
        let made = make("localhost", [2020, 4000]);
        let config = client_config(Some(made.0.as_bytes())).unwrap();
        let certificates = Certificates { default: Some(identity(&made)), named: None };
        let server = ServerSession::new(&server_config(certificates).unwrap()).unwrap();
        let client = TlsSession::new(&config, "localhost").unwrap();
        Self { client, server, read: Vec::new(), ended: false }
    }

    /// Moves what both have to send; what the client reads.
    fn exchange(&mut self) -> Vec<u8> {
        let mut read = Vec::new();
        loop {
            let mut bytes = Vec::new();
            self.client.poll_ciphertext(&mut bytes);
            let is_idle = bytes.is_empty();
            self.feed(&bytes).unwrap();
            let mut bytes = Vec::new();
            self.server.poll_ciphertext(&mut bytes);
            self.client
                .handle_ciphertext(&bytes, &mut |part| read.extend_from_slice(part))
                .unwrap();
            if is_idle && bytes.is_empty() {
                return read;
            }
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) -> Result<(), ServerTlsError> {
        while !bytes.is_empty() && !self.ended {
            let taken = self.server.handle_ciphertext(bytes)?;
            bytes = &bytes[taken..];
            let mut part = [0; 1_000];
            loop {
                match self.server.read_plaintext(&mut part) {
                    Plaintext::Bytes(count) => self.read.extend_from_slice(&part[..count]),
                    Plaintext::Nothing => break,
                    Plaintext::End => {
                        self.ended = true;
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

#[test]
fn bytes_arrive_in_both_directions_and_the_end_is_announced() {
    let mut pair = Pair::new();
    pair.exchange();
    assert!(!pair.server.is_handshaking() && !pair.client.is_handshaking());
    assert_eq!(pair.server.server_name(), Some("localhost"));
    let sent: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    pair.client.write_plaintext(&sent).unwrap();
    pair.exchange();
    assert!(pair.read == sent && !pair.ended);
    pair.server.write_plaintext(&sent).unwrap();
    assert!(pair.exchange() == sent);
    pair.client.close_notify();
    pair.exchange();
    assert!(pair.ended);
    pair.server.close_notify();
    pair.exchange();
    assert!(pair.client.is_closed_by_server());
}

#[test]
fn what_is_no_handshake_is_refused() {
    for (bytes, has_alert) in [
        (&b"\xff\xff\xff\xff\xff"[..], true),
        (b"\x80\x2e\x01\x00\x02", true),
        // rustls sends none for a malformed handshake message.
        (b"\x16\x03\x01\x00\x05hello", false),
    ] {
        let mut pair = Pair::new();
        assert!(pair.feed(bytes).is_err(), "{bytes:?}");
        let mut alert = Vec::new();
        pair.server.poll_ciphertext(&mut alert);
        assert_eq!(alert.first(), has_alert.then_some(&21), "{bytes:?}: an alert record");
    }
    let mut waiting = Pair::new();
    waiting.feed(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc").unwrap();
    assert!(waiting.server.is_handshaking(), "waits for the rest");
    let endless = vec![0; 1 << 20];
    assert!(waiting.feed(&endless).is_err(), "the length of a message is bounded");
}

#[test]
fn changed_handshakes_end_or_wait_for_more() {
    let made = make("localhost", [2020, 4000]);
    let certificates = Certificates { default: Some(identity(&made)), named: None };
    let config = server_config(certificates).unwrap();
    let trusted = client_config(None).unwrap();
    let mut hello = Vec::new();
    Pair::new().client.poll_ciphertext(&mut hello);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let mut refused = 0;
    for _ in 0..2_000 {
        let mut bytes = hello.clone();
        for _ in 0..=below(6) {
            let place = below(bytes.len());
            bytes[place] = below(256) as u8;
        }
        if below(2) == 0 {
            bytes.truncate(1 + below(bytes.len()));
        }
        let server = ServerSession::new(&config).unwrap();
        let client = TlsSession::new(&trusted, "localhost").unwrap();
        let mut pair = Pair { client, server, read: Vec::new(), ended: false };
        let cut = below(bytes.len());
        let result = pair.feed(&bytes[..cut]).and_then(|()| pair.feed(&bytes[cut..]));
        refused += usize::from(result.is_err());
        let mut output = Vec::new();
        pair.server.poll_ciphertext(&mut output);
        assert!(pair.server.is_handshaking() && pair.read.is_empty() && output.len() < 16_384);
    }
    assert!(refused > 70, "{refused}");
}
