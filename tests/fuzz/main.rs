//! Hostile input: whatever reads bytes from outside, fed malformed inputs, compared with an independent parser.
//!
//! ```text
//! cargo test --test fuzz
//! FUZZ_SECONDS=600 cargo test --release --test fuzz -- --ignored --nocapture --test-threads=1
//! ```
//!
//! The first gives every target of [`target`] a fixed number of inputs. The second goes on for so
//! many seconds a target. Inputs are mutations of the seeds of the target, of the recordings in
//! `../shared/fixtures` where that folder exists, and of earlier inputs that did something new.
//! `FUZZ_SEED` begins elsewhere. An input that fails is cut down, printed as a Rust byte string,
//! and written into the temporary folder.
#![allow(clippy::unwrap_used)] // tests

mod campaign;
mod gateway_kalshi;
mod mutation;
mod recordings;
mod target;

use campaign::Campaign;
use ringbook::base::limits::DECODE_STACK_BYTES;
use std::time::{Duration, Instant};

/// A seed of the run; the same inputs follow from the same seed.
fn seed() -> u64 {
    std::env::var("FUZZ_SEED").map_or(1, |text| text.parse().expect("FUZZ_SEED is a number"))
}

/// So many inputs, the same ones every time.
fn short(name: &'static str, inputs: u64) {
    run(name, move |campaign| (0..inputs).for_each(|_| campaign.step()));
}

/// For `FUZZ_SECONDS` of the environment.
fn long(name: &'static str) {
    let seconds = std::env::var("FUZZ_SECONDS").map_or(20, |text| text.parse().unwrap());
    run(name, move |campaign| {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            campaign.step();
        }
    });
}

/// Runs a campaign with the stack of a thread that decodes: JSON nests up to 255 levels.
fn run(name: &'static str, steps: impl FnOnce(&mut Campaign) + Send + 'static) {
    let run = move || {
        let start = Instant::now();
        let mut campaign = Campaign::new(target::named(name), seed());
        steps(&mut campaign);
        println!("{}, {:.0} s", campaign.summary(), start.elapsed().as_secs_f64());
        assert!(campaign.behaviours() > 1, "{name}: all inputs behave alike");
    };
    let thread = std::thread::Builder::new().stack_size(DECODE_STACK_BYTES).spawn(run).unwrap();
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Seeds and dictionary of every target, as libFuzzer reads them: `tests/fuzz/guided/run`.
#[test]
#[ignore = "writes into the folder that FUZZ_CORPUS names"]
fn seeds_and_dictionaries_are_written() {
    let folder = std::path::PathBuf::from(std::env::var("FUZZ_CORPUS").expect("FUZZ_CORPUS"));
    for target in target::TARGETS {
        let corpus = folder.join(target.name);
        std::fs::create_dir_all(&corpus).unwrap();
        for (place, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{place}")), seed).unwrap();
        }
        let dictionary = target.dictionary.iter().map(|fragment| {
            let bytes = fragment.bytes().map(|byte| format!("\\x{byte:02x}"));
            format!("\"{}\"\n", bytes.collect::<String>())
        });
        std::fs::write(
            folder.join(format!("{}.dict", target.name)),
            dictionary.collect::<String>(),
        )
        .unwrap();
    }
}

macro_rules! targets {
    ($($name:ident: $inputs:literal),+ $(,)?) => {
        mod some_inputs {
            $(#[test] fn $name() { super::short(stringify!($name), $inputs); })+
        }
        mod many_inputs {
            $(
                #[test]
                #[ignore = "runs for FUZZ_SECONDS"]
                fn $name() { super::long(stringify!($name)); }
            )+
        }
        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),+];
            let names: Vec<&str> = target::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, run);
        }
    };
}

targets! {
    frames: 4_000,
    upgrade: 3_000,
    decode: 6_000,
    catalog: 4_000,
    exchange: 4_000,
    request: 6_000,
    replay: 400,
    books: 3_000,
    kalshi: 4_000,
    gateway_kalshi: 2_000,
    gateway_polymarket: 6_000,
}
