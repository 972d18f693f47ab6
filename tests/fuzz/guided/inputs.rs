//! The targets of `tests/fuzz` under libFuzzer.
//!
//! `RINGBOOK_FUZZ_TARGET` selects the target; what it finds is written into `artifacts/`. See `run` in this folder.
#![no_main]
#![allow(clippy::unwrap_used)] // tests

#[path = "../target/mod.rs"]
mod target;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use target::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("RINGBOOK_FUZZ_TARGET");
    target::named(&name.expect("RINGBOOK_FUZZ_TARGET names a target"))
});

fuzz_target!(|input: &[u8]| {
    (TARGET.run)(input);
});
