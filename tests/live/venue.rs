//! A `venue-sim` process and everything that may be asked of it.
//!
//! Runs on:  test threads.
use crate::http::Client;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use tempfile::TempDir;

/// Nothing is born, decided or ends by itself.
const QUIET: [&str; 6] =
    ["--births-per-minute", "0", "--resolutions-per-minute", "0", "--ending-soon", "0"];

/// A market as the catalog lists it.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) condition: String,
    pub(crate) slug: String,
    pub(crate) tokens: Vec<String>,
}

/// A `venue-sim` process of either venue, its address lines read, and a folder of its own.
pub(crate) struct Simulator {
    pub(crate) program: Program,
    pub(crate) folder: TempDir,
    lines: Vec<String>,
}

impl Simulator {
    /// On a free port unless a flag names one; the authority of its certificate is `ca.pem` in its folder.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_venue-sim"));
        if !flags.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(flags).arg("--tls-ca-out").arg(folder.path().join("ca.pem"));
        let mut program = Program::start(command);
        let begun = Instant::now();
        loop {
            let lines = program.stdout();
            if lines.iter().any(|line| line.starts_with("run ")) {
                return Self { program, folder, lines };
            }
            let waiting = program.is_running() && begun.elapsed() < TIMEOUT;
            assert!(waiting, "the venue does not start: {program}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// What it prints after `keyword` at its start.
    pub(crate) fn printed(&self, keyword: &str) -> String {
        let line = self.lines.iter().find_map(|line| line.strip_prefix(keyword));
        line.unwrap().trim().to_owned()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client of this URL that trusts its certificate.
    pub(crate) fn client(&self, url: &str) -> Client {
        Client::new(url, std::fs::read(self.file("ca.pem")).ok().as_deref())
    }
}

pub(crate) struct Venue {
    pub(crate) process: Simulator,
    pub(crate) url: String,
    pub(crate) ws: String,
    pub(crate) ca: Option<PathBuf>,
    client: Client,
}

impl Venue {
    /// Over TLS unless a flag is `--plain`.
    pub(crate) fn start(flags: &[&str]) -> Self {
        let process = Simulator::start(&[&QUIET, flags].concat());
        let (url, ws) = (process.printed("gamma "), process.printed("ws "));
        let ca = url.starts_with("https").then(|| process.file("ca.pem"));
        let client = process.client(&url);
        Self { process, url, ws, ca, client }
    }

    /// Flags that lead `ringbook run` here.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let mut flags = vec!["--gamma-url".into(), self.url.clone(), "--clob-url".into()];
        flags.extend([self.url.clone(), "--ws-url".into(), self.ws.clone()]);
        if let Some(ca) = &self.ca {
            flags.extend(["--tls-ca".into(), ca.display().to_string()]);
        }
        flags
    }

    /// `POST /sim/…`; the answer.
    pub(crate) fn control(&mut self, what: &str) -> Value {
        let path = format!("/sim/{what}");
        let response = self.client.request("POST", &path).unwrap();
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }

    /// Stops the scenario; what was sent before is still on its way.
    pub(crate) fn pause(&mut self) {
        self.control("pause");
    }

    /// Looks until it is as wanted.
    pub(crate) fn wait_for(&mut self, what: &str, mut wanted: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !wanted(self) {
            assert!(
                begun.elapsed() < TIMEOUT,
                "no {what} after {TIMEOUT:?}: {}",
                self.process.program
            );
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    pub(crate) fn stat(&mut self, name: &str) -> u64 {
        let stats = self.client.get("/sim/stats").json();
        stats[name].as_u64().unwrap_or_else(|| panic!("{name} in {stats}"))
    }

    /// The venue's own book; `None` where it has none (any more).
    pub(crate) fn truth(&mut self, token: &str) -> Option<Value> {
        let response = self.client.get(&format!("/sim/truth/{token}"));
        (response.status == 200).then(|| response.json())
    }

    /// Every open market of the catalog.
    pub(crate) fn markets(&mut self) -> Vec<Listed> {
        let mut listed = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/markets/keyset?limit=100&active=true&closed=false{cursor}");
            let page = self.client.get(&path).json();
            for market in page["markets"].as_array().unwrap() {
                let text = |key: &str| market[key].as_str().unwrap().to_owned();
                let tokens = if market["version"] == "v2" {
                    serde_json::from_value(market["positionIds"].clone()).unwrap()
                } else {
                    serde_json::from_str(&text("clobTokenIds")).unwrap()
                };
                let (condition, slug) = (text("conditionId"), text("slug"));
                listed.push(Listed { condition, slug, tokens });
            }
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&after_cursor={next}"),
                None => return listed,
            }
        }
    }

    /// Their tokens.
    pub(crate) fn tokens(&mut self) -> Vec<String> {
        self.markets().into_iter().flat_map(|market| market.tokens).collect()
    }
}
