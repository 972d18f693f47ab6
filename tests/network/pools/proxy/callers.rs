//! A hundred callers at once on the five services of the example file, in Rust and in Python.
use super::super::server::{Ask, Duplex, Server};
use super::websocket::{Echo, open};
use super::*;
use ringbook::config::pools::{EXAMPLE, parse};
use std::process::Command;
use tungstenite::Message;

const CALLERS: usize = 100;
const ROUNDS: usize = 20;

/// Answers with its name, the path and the length of the body; now and then in chunks, and slowly.
fn answer(name: &'static str) -> impl Fn(&Ask, &mut dyn Duplex) -> bool + Send + Sync {
    move |ask, stream| {
        let text = format!("{name} {} {} {}", ask.method, ask.path, ask.body.len());
        if ask.path.ends_with('7') {
            std::thread::sleep(Duration::from_millis(2));
        }
        let bytes = if ask.path.ends_with('3') {
            let (first, rest) = text.split_at(3);
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            format!("{head}3\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()).into_bytes()
        } else {
            whole("200 OK", "", text.as_bytes())
        };
        stream.write_all(&bytes).is_ok()
    }
}

/// The services of the example file that are not the engine's, with stand-ins at their places.
pub(super) struct StandIns {
    pub(super) services: Vec<Service>,
    _servers: Vec<Server>,
    _echo: Echo,
}

impl StandIns {
    pub(super) fn start() -> Self {
        let echo = Echo::start();
        let (mut services, mut servers) = (Vec::new(), Vec::new());
        for mut service in parse(EXAMPLE).unwrap() {
            let name = match service.name.as_str() {
                "comfyui" => {
                    (service.host, service.port) = ("127.0.0.1".into(), echo.address.port());
                    services.push(service);
                    continue;
                }
                "litellm" => "litellm",
                "wan2gp" => "wan2gp",
                "rvc" => "rvc",
                "whisper" => "whisper",
                _ => continue,
            };
            let server = Server::start(answer(name));
            (service.host, service.port) = ("127.0.0.1".into(), server.address.port());
            services.push(service);
            servers.push(server);
        }
        assert_eq!(services.len(), 5);
        Self { services, _servers: servers, _echo: echo }
    }
}

const HTTP: [&str; 4] = ["litellm", "wan2gp", "rvc", "whisper"];

fn call(address: SocketAddr, caller: usize) {
    if caller.is_multiple_of(10) {
        for round in 0..ROUNDS / 10 {
            let mut socket = open(address, "/comfyui");
            for number in 0..10 {
                let text = Message::text(format!("{caller} {round} {number}"));
                socket.send(text.clone()).unwrap();
                assert_eq!(socket.read().unwrap(), text);
            }
            socket.close(None).unwrap();
            while socket.read().is_ok() {}
        }
        return;
    }
    let mut client = Client::connect(address);
    for round in 0..ROUNDS {
        let name = HTTP[(caller + round) % HTTP.len()];
        let path = format!("/{caller}/{round}");
        let (method, body) = if round % 3 == 0 {
            ("POST", vec![b'x'; 1 + round * 997])
        } else {
            ("GET", Vec::new())
        };
        let answer = client.ask(method, &format!("/{name}{path}"), "", &body);
        let expected = format!("{name} {method} {path} {}", body.len());
        assert_eq!((answer.status, answer.text()), (200, expected.as_str()));
    }
}

#[test]
fn a_hundred_callers_get_their_own_answers() {
    let stand_ins = StandIns::start();
    let rig = Rig::start(stand_ins.services.clone());
    let address = rig.address;
    let callers: Vec<_> =
        (0..CALLERS).map(|caller| std::thread::spawn(move || call(address, caller))).collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    wait_for("every connection is back", || {
        (0..5).all(|place| rig.number(place, "/occupation/in_use") == 0)
    });
    let reports = rig.stop();
    let requests: u64 = reports[1..].iter().map(|report| report.requests).sum();
    assert_eq!(requests, (CALLERS * 9 / 10 * ROUNDS) as u64);
    for report in &reports {
        assert_eq!(report.failed, 0, "{report:?}");
        assert!(report.peak_in_use <= report.max, "{report:?}");
    }
    let reused: f64 = reports[1..].iter().map(|report| report.reuse_rate).sum();
    assert!(reused > 3.0, "connections are reused: {reused}");
}

#[test]
fn a_hundred_callers_in_python_get_their_own_answers() {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import websockets.sync.client"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: pool_callers.py: {python} has no websockets");
        return;
    }
    let stand_ins = StandIns::start();
    let rig = Rig::start(stand_ins.services.clone());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/pool_callers.py");
    let output = Command::new(python)
        .args([script, &rig.address.to_string(), &CALLERS.to_string()])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", printed.trim_end());
    assert!(rig.stop().iter().all(|report| report.failed == 0));
}
