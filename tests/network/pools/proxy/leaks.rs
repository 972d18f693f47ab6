//! The whole program: its descriptors after thousands of requests, its last table, its exit codes.
use super::super::server::{Server, echo_path};
use super::callers::StandIns;
use super::*;
use std::process::{Child, Command, Stdio};

/// `ringbook pools --listen` with these services.
pub(super) struct Program {
    child: Child,
    pub(super) address: SocketAddr,
    log: BufReader<std::process::ChildStderr>,
    _folder: tempfile::TempDir,
}

fn toml(services: &[Service]) -> String {
    let entry = |service: &Service| {
        let Service { name, kind, host, port, path, limits, .. } = service;
        let (kind, timeout) = (kind.name(), limits.request_timeout_ns as f64 / S as f64);
        format!(
            "[[service]]\nname = \"{name}\"\nkind = \"{kind}\"\naddress = \"{host}:{port}\"\npath = \"{path}\"\n\
             min = {}\nmax = {}\nrequest_timeout_s = {timeout}\nidle_timeout_s = 1\nhealth_interval_s = 0\n",
            limits.min, limits.max
        )
    };
    services.iter().map(entry).collect()
}

impl Program {
    pub(super) fn start(services: &[Service]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pools.toml");
        std::fs::write(&file, toml(services)).unwrap();
        let program = std::env::var("RINGBOOK_TEST_PROGRAM");
        let mut child = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_ringbook")))
            .args(["pools", "--listen", "127.0.0.1:0", "--config", file.to_str().unwrap()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address: {line}")).parse().unwrap();
        Self { child, address, log, _folder: folder }
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Interrupts it; what it printed.
    fn interrupt(mut self) -> (bool, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let mut printed = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let mut logged = String::new();
        let _ = self.log.read_to_string(&mut logged);
        (self.child.wait().unwrap().success(), printed + &logged)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Requests of all kinds, each on a connection of its own: whole ones, cut ones, ones that nobody waits for.
fn disturb(address: SocketAddr, number: usize) {
    let mut client = Client::connect(address);
    match number % 5 {
        0 => assert_eq!(client.get("/rvc/x").status, 200),
        1 => client.send("GET /rvc/x7 HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        2 => client
            .send("POST /rvc/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf"),
        3 => assert_eq!(client.ask("POST", "/whisper/x", "", &[b'x'; 3000]).status, 200),
        _ if number % 100 == 4 => drop(super::websocket::open(address, "/comfyui?x")),
        _ => client.send("GET /comf"),
    }
}

/// Rounds of requests to one program, for so long; after each one it holds what it held after the first, and at the
/// end no more memory than after the tenth.
fn requests_leave_nothing(rounds: usize, each: usize, lasting: Duration) {
    let stand_ins = StandIns::start();
    let mut services = stand_ins.services.clone();
    services.iter_mut().for_each(|service| service.limits.min = 0);
    let program = Program::start(&services);
    let round = || {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let address = program.address;
                scope.spawn(move || (0..each).for_each(|n| disturb(address, 8 * n + thread)));
            }
        });
        // Idle connections are closed after a second.
        let idle = || {
            let stats = Client::connect(program.address).get("/stats");
            let stats: serde_json::Value = serde_json::from_slice(&stats.body).unwrap();
            let services = stats["services"].as_array().unwrap().clone();
            let open = |of: &serde_json::Value| {
                let of = &of["occupation"];
                ["in_use", "idle", "opening", "waiting"]
                    .iter()
                    .map(|k| of[k].as_u64().unwrap())
                    .sum::<u64>()
            };
            services.iter().map(open).sum::<u64>() == 0 && stats["clients"] == 1
        };
        wait_for("connections and clients are gone", idle);
        (program.descriptors(), program.resident_kb())
    };
    let begun = Instant::now();
    let (first, _) = round();
    let (mut done, mut tenth_kb) = (1, None);
    while done < rounds || begun.elapsed() < lasting {
        let (descriptors, kb) = round();
        done += 1;
        // The last client's own descriptor may still be open.
        assert!(descriptors <= first + 1, "{descriptors} descriptors; {first} before");
        if done == 10 {
            tenth_kb = Some(kb);
        }
        if done % 100 == 0 {
            println!(
                "{} requests: {descriptors} descriptors ({first}), {kb} kB ({tenth_kb:?})",
                done * 8 * each
            );
        }
        assert!(
            tenth_kb.is_none_or(|tenth_kb| kb < tenth_kb + 20_000),
            "{kb} kB; {tenth_kb:?} before"
        );
    }
    let (success, printed) = program.interrupt();
    assert!(success && printed.contains("service  kind  health"), "{printed}");
}

#[test]
fn thousands_of_requests_leave_no_descriptor() {
    requests_leave_nothing(3, 125, Duration::ZERO);
}

#[test]
#[ignore = "an hour; cargo test --release --test network -- --ignored an_hour_of_requests --nocapture"]
fn an_hour_of_requests_leaves_no_descriptor() {
    requests_leave_nothing(10, 125, Duration::from_secs(3600));
}

#[test]
fn the_program_prints_what_it_did_and_refuses_what_is_wrong() {
    let server = Server::start(echo_path);
    let program = Program::start(&[named("svc", service(Kind::Http, server.address, |_| {}))]);
    assert_eq!(Client::connect(program.address).get("/svc/x").text(), "/x");
    let (success, printed) = program.interrupt();
    assert!(success, "{printed}");
    let line = printed.lines().find(|line| line.starts_with("svc  ")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[..7], ["svc", "http", "up", "1", "0", "0", "1"], "{printed}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pools.toml");
    let refused = |text: &str, args: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_ringbook"))
            .args(["pools", "--config", file.to_str().unwrap()])
            .args(args)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let good = "[[service]]\nname = \"a\"\nkind = \"http\"\naddress = \"127.0.0.1:1\"\n";
    let (code, line) = refused(good, &["--listen", "0.0.0.0:0"]);
    assert!(code == 2 && line.contains("--listen-insecure"), "{line}");
    let (code, line) = refused(&good.replace("\"a\"", "\"stats\""), &["--listen", "127.0.0.1:0"]);
    assert!(code == 2 && line.contains("/stats is a page of the pools"), "{line}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (code, line) = refused(good, &["--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(code == 1 && line.contains("another program listens there"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}
