//! Child processes whose output is read while they run and that never outlive their test.
//!
//! Runs on:  test threads; one reader thread for each of the two outputs.
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Anything that has not happened after this long on a loaded machine will not happen.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(120);
/// Between two looks.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A local address that stays unused while nothing listens there: below the ports that the kernel gives to others.
pub(crate) fn unused_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 12_000 + (std::process::id() % 1_000) as u16 * 20;
    let port = || first + NEXT.fetch_add(1, Ordering::Relaxed) % 1_000;
    let addresses = (0..1_000).map(|_| SocketAddr::from(([127, 0, 0, 1], port())));
    addresses.into_iter().find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}

type Lines = Arc<Mutex<Vec<String>>>;

pub(crate) struct Program {
    child: Child,
    pub(crate) name: String,
    out: Lines,
    err: Lines,
    readers: Vec<JoinHandle<()>>,
}

fn read(pipe: impl Read + Send + 'static, lines: &Lines) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines.lock().unwrap().push(text);
            line.clear();
        }
    })
}

impl Program {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let (out, err) = (Lines::default(), Lines::default());
        let readers = vec![
            read(child.stdout.take().unwrap(), &out),
            read(child.stderr.take().unwrap(), &err),
        ];
        Self { child, name: format!("{command:?}"), out, err, readers }
    }

    pub(crate) fn ringbook() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringbook"));
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LOG");
        // The stacks of the tests are none of the engine's.
        command.env_remove("RUST_MIN_STACK");
        command
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&self) -> Vec<String> {
        self.out.lock().unwrap().clone()
    }

    pub(crate) fn stderr(&self) -> Vec<String> {
        self.err.lock().unwrap().clone()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end and for the last of its output.
    pub(crate) fn wait(&mut self, timeout: Duration) -> ExitStatus {
        let begun = Instant::now();
        while self.is_running() {
            assert!(begun.elapsed() < timeout, "no end after {timeout:?}: {self}");
            std::thread::sleep(Duration::from_millis(2));
        }
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        self.child.wait().unwrap()
    }

    /// The first line of standard error that holds `text`.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let running = self.is_running();
            if let Some(line) = self.stderr().into_iter().find(|line| line.contains(text)) {
                return line;
            }
            let late = begun.elapsed() > TIMEOUT;
            assert!(running && !late, "never printed `{text}`: {self}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// No panic, no backtrace.
    pub(crate) fn assert_clean(&self) {
        for line in self.stderr().iter().chain(&self.stdout()) {
            let dirty = ["panicked", "RUST_BACKTRACE", "stack backtrace", "Error {", "Os {"];
            assert!(!dirty.iter().any(|part| line.contains(part)), "{line}\n{self}");
        }
    }
}

impl std::fmt::Display for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lines = self.stderr();
        let last = lines[lines.len().saturating_sub(60)..].join("\n");
        write!(f, "{}\n{last}", self.name)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
