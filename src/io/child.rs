//! Commands of the user as child processes.
//!
//! Runs on:  plain threads; waits for the child.
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Bytes of standard error that are stored, from its end.
const ERRORS_BYTES: usize = 4096;

/// Runs a command of the shell with a path as its last argument, and waits for its end. Standard output is discarded.
/// The child is in a process group of its own, so that Ctrl-C does not end it.
///
/// # Errors
/// It cannot start, or has failed: one line with its last line of standard error.
pub fn run_with_path(command: &str, path: &Path) -> Result<(), String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", &format!("{command} \"$@\""), "sh"])
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start /bin/sh: {error}"))?;
    let mut errors = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let mut part = [0; ERRORS_BYTES];
        while let Ok(read @ 1..) = stderr.read(&mut part) {
            errors.extend_from_slice(&part[..read]);
            let surplus = errors.len().saturating_sub(ERRORS_BYTES);
            errors.drain(..surplus);
        }
    }
    let status = child.wait().map_err(|error| format!("cannot be waited for: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&errors);
    match errors.lines().rfind(|line| !line.trim().is_empty()) {
        Some(last) => Err(format!("{status}: {}", last.trim())),
        None => Err(status.to_string()),
    }
}

#[cfg(test)]
mod tests;
