//! The repository's own rules: who may use whom, who may touch the machine, and how files look.
//!
//! The rules are the tables below. A breach is reported as `file:line: what is wrong`. To change a
//! rule, change its row, and give the reason in the commit.
#[path = "tidy/facade.rs"]
mod facade;
#[path = "tidy/fakes.rs"]
mod fakes;
#[path = "tidy/guide.rs"]
mod guide;
#[path = "tidy/locks.rs"]
mod locks;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::{Breach, Source};
use std::path::Path;

/// What a top module of `src/` may name of the crate, leaf to top: only rows above its own.
///
/// `shard` and `control` do not name each other: the links between them are all they share. Unit
/// tests may also name what the layers in their row name.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    // Simulated venues: an encoder that shared the decoder's bug would prove nothing.
    ("sim", &["base"]),
    ("ring", &[]),
    ("counter", &["base"]),
    ("plot", &["base", "counter"]),
    ("wire", &["base"]),
    ("market", &["base"]),
    ("capture", &["base"]),
    ("cluster", &["base"]),
    ("venue", &["base", "market"]),
    ("session", &["base", "wire"]),
    ("topology", &["base"]),
    ("host", &["base", "topology"]),
    // The facts of a host are gathered at the I/O boundary, into the layer that judges them.
    ("io", &["base", "wire", "host"]),
    ("pool", &["base", "ring", "counter", "wire", "io"]),
    ("link", &["base", "ring", "counter", "market", "capture", "venue", "session", "io"]),
    ("shard", &["base", "ring", "counter", "market", "capture", "venue", "session", "io", "link"]),
    ("sink", &["base", "ring", "counter", "wire", "market", "capture", "io", "link"]),
    (
        "control",
        &["base", "ring", "counter", "wire", "market", "venue", "session", "io", "pool", "link"],
    ),
    ("gateway", &["base", "counter", "wire", "market", "link"]),
    ("bus", &["base", "cluster", "counter", "wire", "market", "io", "link"]),
    ("serve", &["base", "ring", "counter", "wire", "market", "io", "pool", "link", "gateway"]),
    (
        "replay",
        &["base", "ring", "counter", "plot", "market", "capture", "venue", "io", "link", "shard"],
    ),
    (
        "replay_gateway",
        &["base", "ring", "market", "capture", "io", "link", "shard", "gateway", "serve", "replay"],
    ),
    // In place of shards: the same handlers, the same links with the serve core.
    ("bus_source", &["base", "ring", "counter", "market", "io", "link", "shard", "bus"]),
    ("export", &["base", "market", "venue", "io", "shard", "sink", "replay"]),
    ("archive", &["base", "capture", "io", "sink", "replay"]),
    // A handler, as a user's own code would be.
    ("price_table", &["base", "market", "io", "shard"]),
    // What a venue's flags mean, and its key.
    (
        "config",
        &[
            "base",
            "cluster",
            "wire",
            "venue",
            "host",
            "io",
            "pool",
            "sink",
            "gateway",
            "bus",
            "replay",
            "replay_gateway",
            "export",
            "topology",
        ],
    ),
    // What a library user names; the root exports it.
    (
        "api",
        &[
            "base", "counter", "wire", "market", "io", "pool", "link", "gateway", "bus", "shard",
            "replay", "topology", "config",
        ],
    ),
    (
        "engine",
        &[
            "api",
            "base",
            "ring",
            "counter",
            "wire",
            "venue",
            "io",
            "pool",
            "link",
            "shard",
            "control",
            "gateway",
            "bus",
            "bus_source",
            "serve",
            "sink",
            "topology",
            "config",
            "host",
        ],
    ),
    (
        "command",
        &[
            "archive",
            "base",
            "cluster",
            "counter",
            "plot",
            "wire",
            "market",
            "venue",
            "host",
            "io",
            "pool",
            "link",
            "bus",
            "serve",
            "replay",
            "replay_gateway",
            "export",
            "price_table",
            "topology",
            "config",
            "engine",
        ],
    ),
    // Pages, and no code.
    ("guide", &[]),
    ("lib", &["sim", "io", "api", "engine", "command"]),
    ("main", &[]),
    // Of io only what prints.
    ("bin", &["sim", "io"]),
];

/// A rule of place: nothing outside `only` names one of `names`.
struct Reach {
    names: &'static [&'static str],
    /// Beginnings of file names.
    only: &'static [&'static str],
    why: &'static str,
}

/// The I/O boundary: what touches the machine, and what knows one library or one venue.
const IO_BOUNDARY: &[Reach] = &[
    Reach {
        names: &["glommio", "rustix", "socket2", "core_affinity", "libc", "perf_event", "std::os"],
        only: &["src/io/"],
        why: "only io names the runtime and the kernel",
    },
    Reach {
        names: &["mio"],
        only: &["src/sim/"],
        why: "the simulated venue's I/O; the engine's is io",
    },
    Reach {
        names: &[
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
            "std::net::ToSocketAddrs",
            "std::os::unix::net",
        ],
        only: &["src/io/"],
        why: "sockets and name lookups belong to io",
    },
    Reach {
        names: &["std::net"],
        only: &[
            "src/io/",
            "src/sim/",
            "src/shard/",
            "src/control/",
            "src/serve/",
            "src/config/",
            "src/api.rs",
            "src/engine/",
            "src/command/",
            "src/bin/",
        ],
        why: "the pure layers know no addresses",
    },
    Reach {
        names: &["std::fs"],
        only: &[
            "src/io/",
            "src/config/",
            "src/command/",
            "src/replay/run.rs",
            "src/export/",
            "src/archive/",
            "src/sink/",
            "src/bin/",
        ],
        why: "files are read and written before and after the engine runs, never on its cores",
    },
    Reach {
        names: &["std::thread"],
        only: &[
            "src/io/",
            "src/engine/",
            "src/command/",
            "src/replay/",
            "src/replay_gateway/",
            "src/sink/",
            "src/bus/",
            "src/bus_source/",
            "src/price_table/",
            "src/sim/",
            "src/bin/",
        ],
        why: "executors and threads are io's; only threads that may block can sleep",
    },
    Reach {
        names: &["std::time::Instant", "std::time::SystemTime", "quanta"],
        only: &["src/io/clock.rs", "src/sim/clock.rs"],
        why: "time is an argument; one file reads a clock (and one of the simulated venue)",
    },
    Reach {
        names: &["std::process", "signal_hook"],
        only: &["src/main.rs", "src/bin/", "src/command/", "src/io/child.rs"],
        why: "only the command line ends the process or handles signals; one file runs the user's commands",
    },
    Reach {
        names: &["std::env"],
        only: &["src/main.rs", "src/bin/"],
        why: "the engine's input is its flags, not its environment",
    },
    Reach {
        names: &["clap"],
        only: &[
            "src/main.rs",
            "src/bin/",
            "src/config/",
            "src/sim/config.rs",
            "src/sim/kalshi/config.rs",
        ],
        why: "flags become a valid configuration before anything else sees them; those of venue-sim are one",
    },
    Reach {
        names: &["tungstenite", "ureq_proto"],
        only: &["src/wire/", "src/sim/"],
        why: "wire turns bytes into frames; everything above sees frames",
    },
    Reach {
        names: &["rdkafka"],
        only: &["src/bus/"],
        why: "the bus is the only client of brokers",
    },
    Reach {
        names: &["crossbeam_queue"],
        only: &["src/ring/"],
        why: "a ring is used by its two halves only, so that it stays one to one",
    },
    Reach {
        names: &["crate::venue::polymarket", "crate::venue::kalshi"],
        only: &["src/venue/"],
        why: "nothing outside venue asks which venue it is",
    },
    Reach {
        names: &["crate::sim"],
        only: &[
            "src/sim/",
            "src/bin/",
            "src/lib.rs",
            "src/command/demo.rs",
            "src/command/bench_live",
        ],
        why: "the simulated venue is for demo, benchmark, its own program and the tests",
    },
];

/// A breach that is right where it is.
struct Exception {
    file: &'static str,
    name: &'static str,
    why: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    Exception { file: "src/command/demo.rs", name: "crate::sim", why: "the demo embeds the venue" },
    Exception {
        file: "src/command/bench_live/mod.rs",
        name: "crate::sim",
        why: "the benchmark embeds the venue",
    },
    Exception {
        file: "src/command/bench_live/step.rs",
        name: "crate::sim",
        why: "the benchmark embeds the venue",
    },
    Exception {
        file: "src/command/bench_live/probe.rs",
        name: "crate::sim",
        why: "the probe reads the venue's stamps",
    },
    Exception {
        file: "src/command/bench_live/probe.rs",
        name: "crate::shard",
        why: "the probe is a handler, as a user's own code would be",
    },
    Exception {
        file: "src/bin/venue_sim.rs",
        name: "std::time::Instant",
        why: "the main thread waits for --duration; this program has none of the engine's I/O",
    },
    Exception {
        file: "src/config/venue.rs",
        name: "crate::venue::kalshi",
        why: "the flags of a venue name its key",
    },
    Exception {
        file: "src/command/compare.rs",
        name: "crate::venue::polymarket",
        why: "it asks the venue itself, not the engine",
    },
];

/// Layers that know a venue by what it can do only: no name of one stands in their text but in comments and tests.
const VENUE_FREE: &[&str] = &[
    "base",
    "ring",
    "counter",
    "plot",
    "wire",
    "market",
    "capture",
    "session",
    "topology",
    "host",
    "io",
    "link",
    "shard",
    "sink",
    "control",
    "bus",
    "serve",
    "replay",
    "replay_gateway",
    "export",
];
/// Names of venues and of their services.
const VENUE_NAMES: &[&str] = &["kalshi", "polymarket", "gamma", "clob"];

/// Longest file.
const LINES_MAX: usize = 800;

/// Names that do not describe the content.
const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "common", "helper", "helpers", "manager", "handler", "handlers", "type",
    "types", "misc",
];

/// The visible top level, and what else the root holds.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "src",
    "benches",
    "tests",
    "tuning",
    "README.md",
    "rust-toolchain.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
];

/// Marks of unfinished work; macros are found in code, the others anywhere in a text.
const UNFINISHED_MACROS: &[&str] = &["todo", "unimplemented", "dbg"];
const UNFINISHED_MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK", "stub", "Stub"];

/// They panic when the reader is gone, and with `panic = "abort"` that is the end before files are written.
const PRINTING: &[&str] = &["print", "println", "eprint", "eprintln"];

/// Paths outside a clone; a clone does not name them.
const PRIVATE_PATHS: &[&str] =
    &["/work/", ".library", "subagent", "shared/", "protocol/polymarket.md", "protocol/kalshi.md"];
/// The one exception: recordings in a folder next to a clone.
const RECORDINGS: &str = "../shared/fixtures";

#[test]
fn no_layer_is_crossed() {
    report(&rules::layers(&tracked()));
}

#[test]
fn only_the_io_boundary_touches_the_machine() {
    report(&rules::io_boundary(&tracked()));
}

#[test]
fn the_layers_have_an_order() {
    report(&rules::order());
}

#[test]
fn files_are_short_and_named() {
    report(&tracked().iter().flat_map(rules::room).collect::<Vec<_>>());
}

#[test]
fn modules_have_a_header() {
    report(&tracked().iter().flat_map(rules::header).collect::<Vec<_>>());
}

#[test]
fn users_see_the_facade_only() {
    report(&facade::breaches(&tracked()));
}

#[test]
fn lints_are_not_silenced() {
    report(&tracked().iter().flat_map(rules::lint).collect::<Vec<_>>());
}

#[test]
fn some_layers_know_no_venue() {
    report(&tracked().iter().flat_map(rules::venues).collect::<Vec<_>>());
}

#[test]
fn one_module_prints() {
    report(&tracked().iter().flat_map(rules::printing).collect::<Vec<_>>());
}

#[test]
fn texts_are_clean() {
    report(&tracked().iter().flat_map(rules::text).collect::<Vec<_>>());
}

#[test]
fn words_are_the_fields() {
    report(&tracked().iter().flat_map(words::words).collect::<Vec<_>>());
}

#[test]
fn pages_fit_a_terminal() {
    report(&tracked().iter().flat_map(guide::room).collect::<Vec<_>>());
}

#[test]
fn the_guide_has_every_flag() {
    report(&guide::flags_agree(&tracked()));
}

#[test]
fn the_guide_has_every_condition_of_health() {
    report(&guide::conditions(&tracked(), ringbook::counter::health::CONDITIONS));
}

#[test]
fn protocol_references_have_a_target() {
    report(&guide::references(&tracked()));
}

#[test]
fn the_runtime_is_not_tokio() {
    report(&tracked().iter().flat_map(rules::lock).collect::<Vec<_>>());
}

#[test]
fn the_guided_fuzzer_has_the_packages_of_its_targets() {
    report(&rules::guided_packages(&tracked()));
}

#[test]
fn the_lock_file_of_the_comparison_is_current() {
    report(&locks::peers(&tracked()));
}

fn report(breaches: &[Breach]) {
    let lines: Vec<String> = breaches.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} breaches\n{}\n", lines.len(), lines.join("\n"));
}

/// Every file that belongs to the repository and is text. A clone asks git; a bare copy of the
/// files (a package) is walked.
fn tracked() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = std::process::Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output();
    let mut files: Vec<String> = match listed {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            text.split('\0').filter(|file| !file.is_empty()).map(str::to_owned).collect()
        }
        _ => walked(root),
    };
    files.sort();
    let read = |file: &String| {
        // Missing: deleted and not yet committed. Not UTF-8: data.
        Some(Source::new(file, &std::fs::read_to_string(root.join(file)).ok()?))
    };
    let sources: Vec<Source> = files.iter().filter_map(read).collect();
    assert!(sources.len() > 50, "only {} files found under {}", sources.len(), root.display());
    sources
}

fn walked(root: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut left: Vec<_> = TOP_LEVEL.iter().map(|&name| root.join(name)).collect();
    while let Some(path) = left.pop() {
        if let Ok(entries) = std::fs::read_dir(&path) {
            left.extend(entries.flatten().map(|entry| entry.path()));
        } else if let Some(file) = path.strip_prefix(root).ok().and_then(Path::to_str) {
            files.push(file.replace('\\', "/"));
        }
    }
    files
}
