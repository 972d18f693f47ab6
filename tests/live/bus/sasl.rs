//! A broker that wants a user and a password: SASL's PLAIN in front of librdkafka's mock, which has none.
//!
//! Runs on:  test threads; each connection has a thread.
use super::secured::{LOOK, pass, write_private};
use super::{Bus, mock};
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use crate::startup_errors::run;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

const API_VERSIONS: i16 = 18;
const SASL_HANDSHAKE: i16 = 17;
const SASL_AUTHENTICATE: i16 = 36;
const UNSUPPORTED_VERSION: i16 = 35;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

type Password = Arc<Mutex<&'static str>>;

/// An address whose clients must be `me` with this password.
fn guard(broker: SocketAddr, password: &Password) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let password = Arc::clone(password);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let password = Arc::clone(&password);
            std::thread::spawn(move || serve(client, broker, address.port(), &password));
        }
    });
    address
}

fn serve(
    mut client: TcpStream,
    broker: SocketAddr,
    port: u16,
    password: &Password,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    while !authenticate(&mut client, password)? {}
    client.set_read_timeout(Some(LOOK))?;
    pass(&mut client, broker, port)
}

/// One request before the user is known, and its answer. Whether the user is known now.
fn authenticate(client: &mut TcpStream, password: &Password) -> io::Result<bool> {
    let refused = || io::Error::from(ErrorKind::PermissionDenied);
    let mut length = [0; 4];
    client.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_be_bytes(length) as usize];
    client.read_exact(&mut request)?;
    let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
    let (key, version, correlation) = (number(0), number(2), request[4..8].to_vec());
    let body = &request[10 + usize::try_from(number(8)).unwrap_or(0)..];
    let mut answer = correlation;
    let mut put = |number: i16| answer.extend(number.to_be_bytes());
    let is_known = match key {
        API_VERSIONS => {
            put(if version > 0 { UNSUPPORTED_VERSION } else { 0 });
            // Keys and last versions, all of which the mock has too.
            let known: [(i16, i16); 12] = [
                (0, 7),
                (1, 11),
                (2, 2),
                (3, 2),
                (8, 7),
                (9, 5),
                (10, 2),
                (11, 5),
                (18, 0),
                (22, 4),
                (SASL_HANDSHAKE, 1),
                (SASL_AUTHENTICATE, 0),
            ];
            answer.extend((known.len() as i32).to_be_bytes());
            for (key, last) in known {
                for number in [key, 0, last] {
                    answer.extend(number.to_be_bytes());
                }
            }
            false
        }
        SASL_HANDSHAKE => {
            put(0);
            answer.extend(1_i32.to_be_bytes());
            answer.extend([0, 5]);
            answer.extend(b"PLAIN");
            false
        }
        SASL_AUTHENTICATE => {
            let wanted = format!("\0me\0{}", password.lock().unwrap());
            let is_known = body[4..] == *wanted.as_bytes();
            put(if is_known { 0 } else { SASL_AUTHENTICATION_FAILED });
            let why = "no such user or password";
            answer.extend((why.len() as i16).to_be_bytes());
            answer.extend(why.as_bytes());
            answer.extend(0_i32.to_be_bytes());
            is_known
        }
        _ => return Err(refused()),
    };
    client.write_all(&(answer.len() as u32).to_be_bytes())?;
    client.write_all(&answer)?;
    if key == SASL_AUTHENTICATE && !is_known { Err(refused()) } else { Ok(is_known) }
}

#[test]
fn a_broker_knows_the_user_of_the_file_and_refuses_another_with_one_line() {
    let (cluster, plain) = mock();
    let broker = cluster.bootstrap_servers();
    let password = Password::new(Mutex::new("right"));
    let address = guard(broker.parse().unwrap(), &password);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.properties");
    let write = |password: &str| {
        let head = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=me";
        write_private(&file, &format!("{head}\nsasl.password={password}\n"));
    };
    write("right");
    let url = plain.replace(&broker, &address.to_string());
    let url = format!("{url}&config={}", file.display());
    let mut bus = Bus::start(&url, 100.0);
    bus.run(20);
    bus.settle_trades();
    // Without the right password each command ends with a line.
    write("wrong");
    for line in
        [&["tail", "--bus", &url][..], &["cluster", "status", "--bus", &url, "--cluster", "c"]]
    {
        let mut command = Program::ringbook();
        command.args(line);
        let (code, lines) = run(command);
        let text = lines.join("\n");
        assert!(code == Some(1) && lines.len() == 1, "{code:?}: {text}");
        assert!(text.contains("no such user or password") && !text.contains("wrong"), "{text}");
    }
    // The password of a running engine is changed, and its connections are cut.
    *password.lock().unwrap() = "changed";
    cluster.broker_down(-1).unwrap();
    cluster.broker_up(-1).unwrap();
    bus.rig.venue.resume().unwrap();
    let begun = Instant::now();
    loop {
        let health = bus.http.get("/health");
        if health.status == 503 && health.text().contains("no such user or password") {
            break;
        }
        assert!(begun.elapsed() < TIMEOUT, "{}", health.text());
        std::thread::sleep(POLL_INTERVAL);
    }
    bus.wait("trades in the journal", |bus| bus.count("journaled") > 0);
    *password.lock().unwrap() = "right";
    bus.settle_trades();
    bus.rig.engine.stop(|_| {});
}
