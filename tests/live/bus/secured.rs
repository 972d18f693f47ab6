//! The file of the address: TLS with the broker, and what cannot be used in it.
//!
//! Runs on:  test threads; the TLS end before librdkafka's mock has a thread for each connection.
use super::{Bus, mock};
use crate::gateway_tls::Certificate;
use crate::program::{Program, TIMEOUT};
use crate::startup_errors::{check, flags, run};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A file that only its owner may read.
pub(super) fn write_private(path: &Path, text: &str) {
    let mut options = std::fs::File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

pub(super) const LOOK: Duration = Duration::from_millis(1);

/// An address that has TLS, in front of a broker on loopback that has none.
fn terminate(broker: SocketAddr, certificate: &Certificate) -> SocketAddr {
    let chain = CertificateDer::from_pem_file(&certificate.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![chain], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let tls = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), client);
            // It ends with one of its sockets.
            std::thread::spawn(move || relay(tls, broker, address.port()));
        }
    });
    address
}

/// Passes bytes on. In the broker's answers its own port becomes `port`.
fn relay(
    mut tls: StreamOwned<ServerConnection, TcpStream>,
    broker: SocketAddr,
    port: u16,
) -> io::Result<()> {
    tls.sock.set_read_timeout(Some(LOOK))?;
    tls.sock.set_nodelay(true)?;
    pass(&mut tls, broker, port)
}

/// The same for a client whose reads end after [`LOOK`].
pub(super) fn pass(
    client: &mut (impl Read + Write),
    broker: SocketAddr,
    port: u16,
) -> io::Result<()> {
    let mut server = TcpStream::connect(broker)?;
    server.set_read_timeout(Some(LOOK))?;
    server.set_nodelay(true)?;
    let host = broker.ip().to_string();
    let named = |port: u16| [host.as_bytes(), &i32::from(port).to_be_bytes()].concat();
    let (from, to) = (named(broker.port()), named(port));
    let (mut buffer, mut answers) = (vec![0; 1 << 16], Vec::new());
    let is_late =
        |error: &io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => server.write_all(&buffer[..count])?,
            Err(error) if is_late(&error) => {}
            Err(error) => return Err(error),
        }
        match server.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => answers.extend_from_slice(&buffer[..count]),
            Err(error) if is_late(&error) => {}
            Err(error) => return Err(error),
        }
        // Each answer begins with its length.
        while let Some(&[a, b, c, d]) = answers.first_chunk()
            && let length = 4 + u32::from_be_bytes([a, b, c, d]) as usize
            && answers.len() >= length
        {
            let mut answer: Vec<u8> = answers.drain(..length).collect();
            let places = answer.windows(from.len()).enumerate();
            let places: Vec<usize> =
                places.filter(|(_, bytes)| *bytes == from).map(|(place, _)| place).collect();
            for place in places {
                answer[place..place + to.len()].copy_from_slice(&to);
            }
            client.write_all(&answer)?;
        }
        client.flush()?;
    }
}

#[test]
#[cfg_attr(not(feature = "kafka-tls"), ignore = "needs a build with --features kafka-tls")]
fn engines_and_readers_speak_tls_as_the_file_says() {
    let (cluster, plain) = mock();
    let certificate = Certificate::make();
    let broker = cluster.bootstrap_servers();
    let address = terminate(broker.parse().unwrap(), &certificate);
    let (folder, authority) = (tempfile::tempdir().unwrap(), certificate.certificate.display());
    let file = folder.path().join("broker.properties");
    write_private(&file, &format!("security.protocol=ssl\nssl.ca.location={authority}\n"));
    let url = plain.replace(&broker, &address.to_string());
    let url = format!("{url}&config={}", file.display());
    let mut bus = Bus::start(&url, 100.0);
    bus.run(20);
    bus.settle_trades();
    let mut command = Program::ringbook();
    command.args(["tail", "--bus", &url, "--topic", "trades", "--from-beginning", "--count", "3"]);
    let mut tail = Program::start(command);
    assert!(tail.wait(TIMEOUT).success(), "{tail}");
    // Without the authority there is no connection.
    write_private(&file, "security.protocol=ssl\n");
    let mut command = Program::ringbook();
    command.args(["tail", "--bus", &url, "--count", "1"]);
    assert_eq!(Program::start(command).wait(TIMEOUT).code(), Some(1));
    bus.rig.engine.stop(|_| {});
}

#[test]
fn a_file_that_cannot_be_used_is_one_line_for_each_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broker.properties");
    let url = format!("kafka://127.0.0.1:1/x?config={}", file.display());
    let refuses = |parts: &[&str]| {
        check(flags(&["--bus", &url]), 2, parts);
        check(flags(&["--bus", &url, "--source", "bus"]), 2, parts);
        for line in
            [&["tail", "--bus", &url][..], &["cluster", "status", "--bus", &url, "--cluster", "c"]]
        {
            let mut command = Program::ringbook();
            command.args(line);
            check(run(command), 2, parts);
        }
    };
    refuses(&["--bus kafka://127.0.0.1:1/x?config=", "cannot be read"]);
    write_private(&file, "sasl.username=me\nsasl.pasword=secret\n");
    refuses(&[
        "--bus kafka://127.0.0.1:1/x?config=",
        "No such configuration property: \"sasl.pasword\"",
    ]);
    write_private(&file, "security.protocol=sasl_plaintext\nsasl.mechanism=secret\n");
    let (_, lines) = flags(&["--bus", &url]);
    assert!(lines.len() == 1 && lines[0].contains("--bus kafka://"), "{lines:?}");
    #[cfg(not(feature = "kafka-tls"))]
    {
        write_private(&file, "security.protocol=ssl\n");
        refuses(&["security.protocol needs TLS", "--features kafka-tls"]);
    }
}
