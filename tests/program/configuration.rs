//! Flags from a file, completions and manual pages, as a user runs them.
//!
//! Runs on:  test threads, with one process each.
use std::path::Path;
use std::process::{Command, Output};

fn ringbook(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringbook")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn all_faults_of_a_file_are_printed_and_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ringbook.toml");
    let file = path.to_str().unwrap();
    std::fs::write(&path, "serve = \"127.0.0.1:0\"\nshard = 2\nlag-warn = \"long\"\n").unwrap();
    for args in [&["config", "--check", file][..], &["run", "--config", file]] {
        let output = ringbook(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let faults = text(&output.stderr);
        let lines: Vec<&str> = faults.lines().collect();
        assert_eq!(lines.len(), 2, "{faults}");
        assert!(lines[0].starts_with(&format!("ringbook: {file}:2: `shard` is no flag of run")));
        assert!(lines[1].starts_with(&format!("ringbook: {file}:3: invalid value 'long'")));
        assert_eq!(text(&output.stdout), "");
    }
    std::fs::write(&path, "serve = \"127.0.0.1:0\"\n").unwrap();
    let output = ringbook(&["config", "--check", file]);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), format!("{file}: 1 setting, no faults\n"))
    );
}

#[test]
fn a_check_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [path, keys] = ["ringbook.toml", "keys"].map(|name| folder.path().join(name));
    let settings = format!("gateway = \"0.0.0.0:9400\"\ngateway-impersonate = {keys:?}\n");
    std::fs::write(&path, settings).unwrap();
    let check = || ringbook(&["config", "--check", path.to_str().unwrap()]);
    let output = check();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!keys.exists());
    std::fs::write(&keys, "").unwrap();
    assert!(text(&check().stderr).contains(":2: --gateway-impersonate "));
}

#[test]
fn values_that_contradict_each_other_are_reported_with_their_line_and_start_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ringbook.toml");
    let file = path.to_str().unwrap();
    for (settings, begin) in [
        // By the reader of flags, and by the configuration.
        ("serve-name = [\"a.example\"]\n", ": the following required arguments"),
        ("lag-warn = 7\ngateway = \"0.0.0.0:9400\"\n", ":2: --gateway"),
        ("lag-warn = 7\nno-discovery = true\n", ":2: --no-discovery"),
    ] {
        std::fs::write(&path, settings).unwrap();
        let output = ringbook(&["run", "--config", file]);
        assert_eq!(output.status.code(), Some(2), "{settings}");
        let fault = text(&output.stderr);
        assert_eq!(fault.lines().count(), 1, "{fault}");
        assert!(fault.starts_with(&format!("ringbook: {file}{begin}")), "{fault}");
        assert_eq!(text(&output.stdout), "");
    }
    // A fault of the command line names no file.
    std::fs::write(&path, "lag-warn = 7\n").unwrap();
    let output = ringbook(&["run", "--config", file, "--gateway", "0.0.0.0:9400"]);
    assert!(text(&output.stderr).starts_with("ringbook: --gateway"), "{}", text(&output.stderr));
}

#[test]
fn a_run_takes_the_flags_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ringbook.toml");
    let file = path.to_str().unwrap();
    // A host that does not exist: the run ends by itself, and names what it has read.
    std::fs::write(
        &path,
        "gamma-url = \"https://catalog.invalid\"\nws-url = \"wss://stream.invalid\"\n",
    )
    .unwrap();
    let output = ringbook(&["run", "--config", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("catalog.invalid"), "{}", text(&output.stderr));
    let output = ringbook(&["run", "--config", file, "--gamma-url", "https://other.invalid"]);
    let line = text(&output.stderr);
    assert!(line.contains("other.invalid") && !line.contains("catalog.invalid"), "{line}");
}

#[test]
fn the_example_and_the_file_of_the_unit_have_no_faults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("example.toml");
    std::fs::write(&path, ringbook(&["config", "--example"]).stdout).unwrap();
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/ringbook.toml");
    let histograms = folder.path().join("latencies");
    let here = std::fs::read_to_string(unit)
        .unwrap()
        .replace("/var/lib/ringbook/latencies", histograms.to_str().unwrap());
    let unit = folder.path().join("unit.toml");
    std::fs::write(&unit, here).unwrap();
    for path in [path, unit] {
        let output = ringbook(&["config", "--check", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
}

#[test]
fn completions_and_manual_pages_name_commands_and_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let output = ringbook(&["completions", shell]);
        let script = text(&output.stdout);
        assert!(output.status.success() && script.contains("gateway-stale"), "{shell}");
    }
    // A shell that is there reads the script.
    let script = ringbook(&["completions", "bash"]).stdout;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("completions");
    std::fs::write(&path, script).unwrap();
    let read = format!(
        "source {}; COMP_WORDS=(ringbook run --gateway-st); COMP_CWORD=2; _ringbook ringbook --gateway-st run; \
         echo \"${{COMPREPLY[@]}}\"",
        path.display()
    );
    let output = Command::new("bash").args(["--norc", "-c", &read]).output().unwrap();
    assert_eq!(text(&output.stdout).trim(), "--gateway-stale", "{}", text(&output.stderr));
    let pages = folder.path().join("man");
    assert!(ringbook(&["man", pages.to_str().unwrap()]).status.success());
    let run = std::fs::read_to_string(pages.join("ringbook-run.1")).unwrap();
    assert!(run.contains("gateway\\-stale") && pages.join("ringbook.1").exists());
    let file = path.join("below");
    let output = ringbook(&["man", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr).lines().count(), 1);
}
