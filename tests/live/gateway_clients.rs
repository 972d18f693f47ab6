//! Unmodified Python clients of the venue on the gateway, while connections of the engine fail.
//!
//! Runs on:  test threads; engine and venue on threads of this process, Python in its own. A client is skipped, with
//! one line, where its package is missing; `RINGBOOK_TEST_PYTHON` names another interpreter.
use crate::gateway::Rig;
use crate::program::{POLL_INTERVAL, Program, TIMEOUT};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A command that runs a program of `tests/python` on the rig's books, unless the package is missing.
fn python(rig: &Rig, script: &str, package: &str) -> Option<Command> {
    let python = std::env::var("RINGBOOK_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: {script}: {python} has no {package}");
        return None;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python");
    let mut command = Command::new(python);
    command.arg(folder.join(script)).arg(rig.address.to_string()).args(&rig.tokens);
    command.env("GAMMA", rig.engine.gateways()[1].1.to_string());
    Some(command)
}

/// The venue's books in the shape that the programs print.
fn truth(rig: &Rig) -> Value {
    let side = |levels: &Value| -> Value {
        let level =
            |level: &Value| (level["price"].as_str().unwrap().to_owned(), level["size"].clone());
        levels.as_array().unwrap().iter().map(level).collect::<Map<_, _>>().into()
    };
    let book = |token: &String| {
        let book: Value = serde_json::from_str(&rig.venue.truth(token).unwrap()).unwrap();
        (token.clone(), json!({"BUY": side(&book["bids"]), "SELL": side(&book["asks"])}))
    };
    rig.tokens.iter().map(book).collect::<Map<_, _>>().into()
}

/// Waits for a line that is as wanted among those after the first `from`; the number of lines.
fn wait(program: &mut Program, from: usize, what: &str, wanted: &dyn Fn(&Value) -> bool) -> usize {
    let begun = Instant::now();
    loop {
        let lines = program.stdout();
        let mut new = lines.iter().skip(from).map(|line| serde_json::from_str(line).unwrap());
        if new.any(|line: Value| wanted(&line)) {
            return lines.len();
        }
        let error = program.stderr();
        assert!(program.is_running() && begun.elapsed() < TIMEOUT, "no {what}: {error:?}");
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn follows(script: &str, package: &str) {
    let rig = Rig::start(10, 400.0);
    let Some(command) = python(&rig, script, package) else { return };
    let mut program = Program::start(command);
    rig.venue.resume().unwrap();
    let all = |books: &Value| books.as_object().is_some_and(|b| b.len() == rig.tokens.len());
    let mut lines = wait(&mut program, 0, "books", &all);
    for fault in ["drop?connections=all", "tick?count=2", "drop?connections=1"] {
        rig.control(fault);
        rig.venue.resume().unwrap();
        lines = wait(&mut program, lines + 1, "books after a fault", &all);
    }
    rig.venue.pause().unwrap();
    let truth = truth(&rig);
    wait(&mut program, lines, "equal books", &|books| *books == truth);
    rig.engine.stop(|_| {});
}

#[test]
fn polymarket_client_has_the_venues_books() {
    follows("polymarket_client.py", "polymarket");
}

#[test]
fn py_clob_client_has_the_venues_books() {
    follows("py_clob_client.py", "py_clob_client_v2");
}
