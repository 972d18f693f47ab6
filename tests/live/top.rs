//! `ringbook top` in a terminal of tmux.
//!
//! Runs on:  test threads; engine, venue and tmux are processes. Skipped, with one line, where tmux is missing.
use crate::engine::{Engine, count, sum};
use crate::kalshi::Kalshi;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT, unused_address};
use crate::venue::Venue;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SIZES: [(u32, u32); 2] = [(80, 24), (200, 60)];

/// A terminal in which a shell runs `ringbook top`, and prints its exit code.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn start(url: &str, size: (u32, u32)) -> Self {
        Self::of(&format!("{} top --url {url}", env!("CARGO_BIN_EXE_ringbook")), size)
    }

    fn of(program: &str, (width, height): (u32, u32)) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { socket: format!("ringbook-{}-{number}", std::process::id()) };
        let shell = format!("echo before; {program}; echo ended with $?; stty -a; exec sleep 1000");
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, &shell]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket, "-f", "/dev/null", "-u"]).args(arguments);
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits until the screen has every text.
    fn wait_for(&self, texts: &[String]) -> String {
        self.wait_until(|| texts.to_vec())
    }

    /// Waits until the screen has every text, which may change meanwhile.
    fn wait_until(&self, mut texts: impl FnMut() -> Vec<String>) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            let missing = texts().into_iter().find(|text| !screen.contains(text));
            let Some(missing) = missing else { return screen };
            assert!(begun.elapsed() < TIMEOUT, "no `{missing}`:\n{screen}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    fn signal(&self, signal: Signal) {
        let shell = self.tmux(&["list-panes", "-F", "#{pane_pid}"]).trim().to_owned();
        let children =
            std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        let pid = children.split_whitespace().next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// The program has ended, and the terminal is as it was.
    fn assert_ended(&self, code: i32) -> String {
        let screen =
            self.wait_for(&["before".into(), format!("ended with {code}"), "echo ".into()]);
        assert!(screen.contains(" icanon ") && screen.contains(" echo "), "{screen}");
        let modes = "#{alternate_on} #{mouse_any_flag} #{cursor_flag}";
        assert_eq!(self.tmux(&["display-message", "-p", modes]).trim(), "0 0 1");
        screen
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output());
    }
}

fn has_tmux() -> bool {
    let has = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("skipped: `ringbook top` in a terminal: tmux is missing");
    }
    has
}

/// Digits in groups of three.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let groups =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap());
    groups.collect::<Vec<_>>().join(",")
}

/// The engine's figures while its venue is paused.
fn expected(stats: &Value) -> [Vec<String>; 3] {
    let number = |pointer: &str| grouped(count(stats, pointer));
    let total = |key: &str| grouped(sum(stats, key));
    let overview = vec![
        format!("of {} live, 0 awaiting, 0 stale", total("books")),
        format!("{} messages", total("messages")),
        format!("{} changes, 0 not decoded", total("updates")),
        format!("{} seen", total("trades")),
        format!("{} tokens, 0 without a connection", number("/registry/tokens")),
    ];
    let connections = stats["pool"]["connections"].as_array().unwrap().iter().map(|one| {
        let [name, state] = ["name", "state"].map(|key| one[key].as_str().unwrap());
        let number = |key: &str| one[key].as_u64().unwrap();
        format!("{name:<14} ● {state:<8} {:>5} {:>6}", number("shard"), number("tokens"))
    });
    let stages = stats["latencies"].as_array().unwrap().iter();
    // The others have values of the engine's own work.
    let of_messages = ["venue_to_read", "read_to_decoded", "decoded_to_applied", "read_to_applied"];
    let stages = stages.filter(|one| of_messages.contains(&one["stage"].as_str().unwrap()));
    let latency = stages.map(|one| {
        let (stage, count) = (one["stage"].as_str().unwrap(), one["count"].as_u64().unwrap());
        format!("{stage:<18} {:>10}", grouped(count))
    });
    [overview, connections.collect(), latency.collect()]
}

/// The best levels of both sides, best first, as rows of a ladder.
fn ladder(book: &Value, levels: usize) -> Vec<String> {
    let side = |side: &str| {
        book[side].as_array().unwrap().iter().rev().take(levels).cloned().collect::<Vec<_>>()
    };
    let rows = side("bids").into_iter().chain(side("asks"));
    rows.map(|level| {
        format!("{:>8}{:>12}", level["price"].as_str().unwrap(), level["size"].as_str().unwrap())
    })
    .collect()
}

#[test]
fn the_screens_show_the_figures_of_the_engine() {
    if !has_tmux() {
        return;
    }
    let mut venue = Venue::start(&["--plain", "--rate", "200", "--markets", "30", "--levels", "9"]);
    let mut engine = Engine::start(&venue, &[]);
    let tokens = venue.tokens();
    engine.wait_live(tokens.len());
    engine.wait_for("300 messages", TIMEOUT, |stats| sum(stats, "messages") > 300);
    venue.pause();
    check_screens(&mut engine, &tokens[7]);
}

#[test]
fn the_screens_show_the_figures_of_an_engine_on_kalshi() {
    if !has_tmux() {
        return;
    }
    let mut venue = Kalshi::start(&["--rate", "200", "--trades", "300", "--markets", "30"]);
    let mut engine = venue.engine(&["--kalshi-connections", "1,1,1,2"]);
    engine.wait_live(30);
    engine.wait_for("trades", TIMEOUT, |stats| {
        sum(stats, "messages") > 300 && sum(stats, "trades") > 20
    });
    venue.ask("POST", "/sim/pause");
    let ticker = venue.truth().swap_remove(7).0;
    check_screens(&mut engine, &ticker);
}

/// Compares the screens with the answers of an engine whose venue is paused. On Kalshi silent connections are asked for
/// an answer every five seconds, so counts of messages go on.
fn check_screens(engine: &mut Engine, token: &str) {
    engine.wait_still(Duration::from_secs(2));
    let markets = engine.get(&format!("/markets?q={token}")).json();
    let market = &markets["markets"][0];
    let mut rows = Vec::new();
    for outcome in market["tokens"].as_array().unwrap() {
        let book = engine.book(outcome["token"].as_str().unwrap()).json();
        rows.extend(ladder(&book, 3));
        rows.push(format!("{} ● live", outcome["outcome"].as_str().unwrap()));
    }
    let url = format!("http://{}", engine.address);
    for size in SIZES {
        let terminal = Terminal::start(&url, size);
        terminal.wait_until(|| expected(&engine.stats())[0].clone());
        terminal.press(&["2"]);
        terminal.wait_until(|| expected(&engine.stats())[1].clone());
        terminal.press(&["/"]);
        terminal.press(&["-l", token]);
        terminal.wait_for(&[" 1 found".into()]);
        terminal.press(&["Enter", "Enter"]);
        let screen = terminal.wait_for(&rows);
        assert!(screen.contains("spread 0.") && screen.contains(" mid 0."), "{screen}");
        terminal.press(&["4", "s"]);
        terminal.wait_until(|| expected(&engine.stats())[2].clone());
        terminal.press(&["C-c"]);
        terminal.assert_ended(0);
    }
}

/// What [`a_panic_leaves_the_terminal_as_it_was`] runs: a panic that unwinds nothing, as in a release build.
#[test]
#[ignore = "run in a terminal by another test"]
fn panics_on_the_screen() {
    let screen = ringbook::command::top::Screen::open().unwrap();
    std::mem::forget(screen);
    let panicked = std::panic::catch_unwind(|| panic!("a broken invariant"));
    std::process::exit(if panicked.is_err() { 7 } else { 1 });
}

#[test]
fn a_panic_leaves_the_terminal_as_it_was() {
    if !has_tmux() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let test = "top::panics_on_the_screen --exact --ignored --nocapture --test-threads 1";
    let terminal = Terminal::of(&format!("{} {test}", program.display()), SIZES[1]);
    let screen = terminal.assert_ended(7);
    assert!(screen.contains("a broken invariant"), "{screen}");
}

#[test]
fn an_engine_that_goes_away_is_waited_for_and_the_end_is_clean() {
    if !has_tmux() {
        return;
    }
    let venue = Venue::start(&["--plain", "--rate", "50", "--markets", "5"]);
    let address = unused_address().to_string();
    let flags = |address: &str| {
        let serve = ["--serve".to_owned(), address.to_owned()];
        venue.addresses().into_iter().chain(serve).collect::<Vec<_>>()
    };
    let start = |flags: &[String]| {
        let mut command = Program::ringbook();
        command.arg("run").args(flags);
        Engine::of(Program::start(command))
    };
    let mut engine = start(&flags(&address));
    engine.wait_live(10);
    let terminal = Terminal::start(&format!("http://{address}"), SIZES[0]);
    let live = "of 10 live, 0 awaiting".to_owned();
    terminal.wait_for(std::slice::from_ref(&live));
    engine.program.signal(Signal::KILL);
    terminal.wait_for(&[
        "■ no answer for ".into(),
        " s, asked again every 1 s: ".into(),
        live.clone(),
    ]);
    drop(engine);
    let engine = start(&flags(&address));
    terminal.wait_for(&[format!(" http://{address}  ringbook "), live]);
    terminal.signal(Signal::TERM);
    terminal.assert_ended(0);
    drop(engine);

    // Nothing answers; something else answers.
    for url in [format!("http://{address}"), venue.url.clone()] {
        let terminal = Terminal::start(&url, SIZES[1]);
        let screen = terminal.assert_ended(1);
        assert!(screen.contains(&format!("answers at {url}: ")), "{screen}");
    }
}

#[test]
fn without_a_terminal_or_an_address_it_ends_with_one_line() {
    for (flags, text) in [
        (&["top"][..], "ringbook: standard output is no terminal: "),
        (&["top", "--url", "127.0.0.1:9300"], "ringbook: --url 127.0.0.1:9300: "),
    ] {
        let mut command = Program::ringbook();
        command.args(flags);
        let mut program = Program::start(command);
        assert_eq!(program.wait(TIMEOUT).code(), Some(2));
        let lines = program.stderr();
        assert!(lines.len() == 1 && lines[0].starts_with(text), "{lines:?}");
    }
}
