//! Captures as an archive: what they have, whether they are whole, parts of them.
//!
//! Runs on:  the starting thread; blocks on the disk.
pub mod compact;
pub mod cut;
pub mod days;
mod folder;
pub mod import;
mod levels;
pub mod merge;
mod union;
pub mod verify;

use crate::io::output;

fn complain(command: &str, line: &str) {
    output::complain(format_args!("ringbook capture {command}: {line}"));
}
