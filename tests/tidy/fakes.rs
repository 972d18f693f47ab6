//! The rules against small sources that follow and break them.
use super::rules;
use super::source::{Breach, Source, blank, named};

fn printed(breaches: &[Breach]) -> Vec<String> {
    breaches.iter().map(ToString::to_string).collect()
}

/// The lines at which a rule finds something in one file.
fn lines(rule: impl Fn(&[Source]) -> Vec<Breach>, file: &str, text: &str) -> Vec<usize> {
    rule(&[Source::new(file, text)]).iter().map(|breach| breach.line).collect()
}

fn each(rule: fn(&Source) -> Vec<Breach>) -> impl Fn(&[Source]) -> Vec<Breach> {
    move |sources| sources.iter().flat_map(rule).collect()
}

#[test]
fn a_crossed_layer_is_reported_with_its_line() {
    let text = "//! A.\nuse crate::base::id::ShardId;\nuse crate::control::Control;\n";
    let breaches = rules::layers(&[Source::new("src/shard/mod.rs", text)]);
    let wanted =
        "src/shard/mod.rs:3: `shard` must not use `control` (here `crate::control::Control`)";
    assert_eq!(printed(&breaches), [wanted]);
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let crossed = [
        ("src/shard/mod.rs", "use crate::control;"),
        ("src/shard/mod.rs", "use crate::{base::id, control::registry as r};"),
        ("src/shard/mod.rs", "use crate::{base::{id, time}, io::{self, clock}, control::*};"),
        ("src/shard/mod.rs", "use crate::*;"),
        ("src/shard/mod.rs", "fn f() -> crate::control::Control { }"),
        ("src/shard/mod.rs", "fn f() { let x = Vec::<crate::control::X>::new(); }"),
        ("src/shard/mod.rs", "use super::control::run;"),
        ("src/shard/books.rs", "use super::super::control::run;"),
        ("src/shard/books.rs", "use super::{orders, super::control};"),
        ("src/shard/books/tests.rs", "use super::super::super::control;"),
        ("src/shard/mod.rs", "mod tests { use super::super::control; }"),
        ("src/control/mod.rs", "pub(in crate::shard) struct S;"),
        ("src/control/run.rs", "impl crate::shard::publish::Handler for X {}"),
        ("src/base/mod.rs", "use crate::ring::ring;"),
        ("src/venue/mod.rs", "use crate::io::clock::HostClock;"),
        ("src/io/socket.rs", "use crate::market::book::Book;"),
        ("src/sim/mod.rs", "use crate::wire::http;"),
        ("src/serve/mod.rs", "use crate::sim::Venue;"),
        ("src/topology.rs", "use crate::engine::Engine;"),
        ("src/main.rs", "use ringbook::{command_line, engine::Engine};"),
        ("src/bin/venue_sim.rs", "use ringbook::engine;"),
        ("src/novelty/mod.rs", "struct S;"),
        ("src/shard/tests.rs", "use crate::control::Control;"),
        ("src/shard/mod.rs", "use crate::wire::websocket;"),
    ];
    for (file, text) in crossed {
        assert_eq!(lines(rules::layers, file, text), [1], "{file}: {text}");
    }
    let allowed = [
        ("src/shard/mod.rs", "use crate::{base::id, io::{self, clock}, shard::books};"),
        ("src/shard/books.rs", "use super::orders; use self::tests; use super::super::base;"),
        ("src/shard/mod.rs", "// use crate::control;\n/* crate::control /* crate::control */ */"),
        ("src/shard/mod.rs", "/// [`crate::control::run`]\nstruct S;"),
        ("src/shard/mod.rs", r###"const S: &str = r#"crate::control " "#; "###),
        ("src/shard/mod.rs", "const S: (&str, char) = (\"crate::control \\\" \", '\"');"),
        ("src/shard/mod.rs", "mod tests { use super::*; } use super::base;"),
        ("src/shard/tests.rs", "use crate::wire::websocket;"),
        ("src/command/demo.rs", "use crate::sim::Venue;"),
        ("src/lib.rs", "pub mod shard;"),
        ("tests/live/main.rs", "use ringbook::sim::Venue; use ringbook::control;"),
    ];
    for (file, text) in allowed {
        assert_eq!(lines(rules::layers, file, text), [0; 0], "{file}: {text}");
    }
}

#[test]
fn what_touches_the_machine_is_seen() {
    let out_of_place = [
        ("src/shard/step.rs", "use glommio::timer::sleep;"),
        ("src/shard/step.rs", "use glommio;"),
        ("src/control/run.rs", "async fn f() { glommio::executor().id(); }"),
        ("src/serve/client.rs", "fn f() { rustix::io::close(); }"),
        ("src/io/driver.rs", "use mio::Poll;"),
        ("src/session/mod.rs", "use std::time::Instant;"),
        ("src/session/mod.rs", "use std::time::{Duration, Instant};"),
        ("src/session/mod.rs", "use std::{time, fmt};"),
        ("src/session/mod.rs", "use std::time::{self, Duration};"),
        ("src/io/driver.rs", "fn f() { std::time::SystemTime::now(); }"),
        ("src/io/driver.rs", "use std::time::*;"),
        ("src/command/run.rs", "use std::time::Instant;"),
        ("src/market/info.rs", "use std::net::SocketAddr;"),
        ("src/shard/mod.rs", "use std::net::TcpStream;"),
        ("src/shard/mod.rs", "use std::net;"),
        ("src/venue/mod.rs", "fn f() { std::fs::read(0); }"),
        ("src/replay/reader.rs", "use std::fs::File;"),
        ("src/wire/tls.rs", "use std::thread;"),
        ("src/wire/tls.rs", "mod tests {} use std::thread;"),
        ("src/serve/mod.rs", "fn f() { std::process::exit(1) }"),
        ("src/config/mod.rs", "fn f() { std::env::var(0); }"),
        ("src/engine.rs", "use clap::Parser;"),
        ("src/session/mod.rs", "use tungstenite::Message;"),
        ("src/link/mod.rs", "use crossbeam_queue::ArrayQueue;"),
        ("src/serve/route.rs", "use crate::venue::polymarket::decode;"),
        ("src/control/run.rs", "use crate::sim::Venue;"),
    ];
    for (file, text) in out_of_place {
        assert_eq!(lines(rules::io_boundary, file, text), [1], "{file}: {text}");
    }
    let in_place = [
        ("src/io/driver.rs", "use rustix::event::epoll; use glommio::timer;"),
        ("src/io/clock.rs", "use std::time::{Instant, SystemTime};"),
        ("src/sim/server.rs", "use mio::Poll; use std::net::SocketAddr;"),
        ("src/shard/mod.rs", "use std::time::Duration; use std::net::SocketAddr;"),
        ("src/session/mod.rs", "//! Not glommio::timer, not std::thread.\nuse std::fmt;"),
        ("src/control/run.rs", "use crate::venue::Feed;"),
        ("src/ring/mod.rs", "mod tests { use std::thread; }"),
        ("src/session/tests.rs", "use tungstenite::Message; use std::net::TcpStream;"),
        ("src/control/tests.rs", "use crate::venue::polymarket::catalog;"),
        ("tests/fetch.rs", "use glommio::Placement; use std::time::Instant;"),
    ];
    for (file, text) in in_place {
        assert_eq!(lines(rules::io_boundary, file, text), [0; 0], "{file}: {text}");
    }
}

#[test]
fn an_exception_does_not_outlive_its_reason() {
    let breaches =
        printed(&rules::io_boundary(&[Source::new("src/command/demo.rs", "struct Demo;")]));
    assert_eq!(breaches.len(), 1);
    assert!(breaches[0].starts_with("src/command/demo.rs:1: no longer names `crate::sim`"));
}

#[test]
fn long_files_and_empty_names_are_seen() {
    let room = each(rules::room);
    assert_eq!(lines(&room, "src/base/id.rs", &"\n".repeat(800)), [0; 0]);
    assert_eq!(lines(&room, "src/base/id.rs", &"\n".repeat(801)), [801]);
    assert_eq!(lines(&room, "tests/data/long.json", &"\n".repeat(2000)), [0; 0]);
    for file in
        ["src/utils.rs", "src/base/helpers/mod.rs", "tests/common/mod.rs", "src/io/types.rs"]
    {
        assert_eq!(lines(&room, file, ""), [1], "{file}");
    }
    assert_eq!(lines(&room, "docs/map.md", ""), [1]);
    assert_eq!(lines(&room, ".ci/run", ""), [0; 0]);
}

#[test]
fn headers_are_asked_for() {
    let header = each(rules::header);
    let good = "//! The terms.\n//!\n//! Runs on:  any (pure).\nuse x;\n";
    assert_eq!(lines(&header, "src/base/id.rs", good), [0; 0]);
    assert_eq!(lines(&header, "src/base/id.rs", "//! The terms.\nuse x;\n"), [1]);
    assert_eq!(lines(&header, "src/base/id.rs", "//! The\n//! terms.\n//! Runs on:  any.\n"), [1]);
    assert_eq!(lines(&header, "src/base/id.rs", "use x;\n//! Runs on:  any.\n"), [1, 1]);
    assert_eq!(lines(&header, "src/base/tests.rs", "//! The terms, tested.\n"), [0; 0]);
    assert_eq!(lines(&header, "tests/live/main.rs", "use x;\n"), [1]);
    assert_eq!(lines(&header, "README.md", "# ringbook\n"), [0; 0]);
}

#[test]
fn silenced_lints_are_seen() {
    let lint = each(rules::lint);
    let bare = "fn f() {\n    unsafe { g() }\n}\n";
    assert_eq!(lines(&lint, "src/io/file.rs", bare), [2]);
    let justified = "fn f() {\n    // SAFETY: g has no conditions.\n    unsafe { g() }\n}\n";
    assert_eq!(lines(&lint, "src/io/file.rs", justified), [3]);
    let reasoned = format!("#[expect(unsafe_code, reason = \"g is external\")]\n{justified}");
    assert_eq!(lines(&lint, "src/io/file.rs", &reasoned), [0; 0]);
    assert_eq!(lines(&lint, "src/io/file.rs", "// unsafe\nconst S: &str = \"unsafe\";"), [0; 0]);
    assert_eq!(lines(&lint, "src/io/file.rs", "#[allow(dead_code)]\nfn f() {}"), [1]);
    assert_eq!(lines(&lint, "tests/live/main.rs", "#![allow(clippy::unwrap_used)]"), [0; 0]);
    let long = "#[expect(clippy::too_many_lines, reason = \"long\")]\nfn f() {}";
    assert_eq!(lines(&lint, "src/io/file.rs", long), [1]);
    assert_eq!(lines(&lint, ".clippy.toml", "too-many-lines-threshold = 70\n"), [0; 0]);
    assert_eq!(lines(&lint, ".clippy.toml", "too-many-lines-threshold = 700\n"), [1]);
    assert_eq!(lines(&lint, ".clippy.toml", "allow-unwrap-in-tests = true"), [1]);
}

#[test]
fn a_venue_named_in_a_layer_that_knows_none_is_seen() {
    let venues = each(rules::venues);
    for text in ["let x = Venue::Kalshi;", "warn!(\"--gamma-url\");", "fn polymarket() {}"] {
        assert_eq!(lines(&venues, "src/control/run.rs", text), [1], "{text}");
        assert_eq!(lines(&venues, "src/venue/mod.rs", text), [0; 0], "{text}");
        assert_eq!(lines(&venues, "src/control/tests.rs", text), [0; 0], "{text}");
        let behind = format!("mod tests;\n{text}");
        assert_eq!(lines(&venues, "src/control/run.rs", &behind), [2], "{text}");
    }
    assert_eq!(lines(&venues, "src/control/run.rs", "/// As Kalshi does."), [0; 0]);
}

#[test]
fn printing_elsewhere_is_seen() {
    let printing = each(rules::printing);
    for text in [
        "fn f() { println!(); }",
        "fn f() { std::eprintln!(\"x\") }",
        "mod tests; fn f() { print!{} }",
        "fn f() { eprint![x]; }",
        "fn f() { io::stderr().flush(); }",
        "use std::io::stdout;",
    ] {
        assert_eq!(lines(&printing, "src/command/run.rs", text), [1], "{text}");
        assert_eq!(lines(&printing, "src/io/output.rs", text), [0; 0], "{text}");
        assert_eq!(lines(&printing, "tests/live/main.rs", text), [0; 0], "{text}");
    }
    assert_eq!(lines(&printing, "src/command/tests.rs", "println!();"), [0; 0]);
    for text in ["// println!()", "fn f() { print != 1 }"] {
        assert_eq!(lines(&printing, "src/command/run.rs", text), [0; 0], "{text}");
    }
}

#[test]
fn unfinished_text_and_private_paths_are_found() {
    let text = each(rules::text);
    let dirty = [
        "fn f() { todo!() }",
        "fn f() { std::unimplemented!(\"x\") }",
        "fn f() { dbg!(x); }",
        "// TODO: more",
        "/* FIXME */",
        "//! (stub: not written)",
        "fn f() {} ",
        "fn f() {}\r",
        "fn f() {\t}",
        "let path = \"/work/x\";",
        "// as the subagent wrote",
        "// see `.library/search`",
        "// see shared/stack.md",
    ];
    for line in dirty {
        let found = lines(&text, "src/io/file.rs", &format!("//! A.\n{line}\n"));
        assert!(found.contains(&2), "{line}: {found:?}");
        assert!(found.iter().all(|&at| at == 2), "{line}: {found:?}");
    }
    let clean = [
        "// Nothing is todo here, and \"dbg\" is a word.",
        "const S: &str = \"dbg!(x)\";",
        "let folder = root.join(\"../shared/fixtures\");",
        "let folder = root.join(\"../../shared/fixtures\");",
        "// A stubborn peer.",
    ];
    for line in clean {
        assert_eq!(lines(&text, "src/io/file.rs", &format!("{line}\n")), [0; 0], "{line}");
    }
    assert_eq!(lines(&text, "README.md", "# TODO\n"), [1]);
    assert_eq!(lines(&text, ".ci/run", "cd /work/main\n"), [1]);
    assert_eq!(lines(&text, "tests/data/frame.json", "{\"a\":\t\"/work/\"} \n"), [0; 0]);
}

#[test]
fn another_runtime_is_seen() {
    let lock = each(rules::lock);
    let text = "[[package]]\nname = \"tokio-util\"\n\n[[package]]\nname = \"mio\"\n";
    assert_eq!(lines(&lock, "Cargo.lock", text), [2]);
}

#[test]
fn comments_and_literals_are_blanked_line_for_line() {
    let text = "a // b\n'x' 'l: \"s\\\"s\n s\" b'\\'' br##\"r\"# \"## r#type /* c\n/* d */ */ e";
    let code = blank(text);
    assert_eq!(code.lines().count(), text.lines().count());
    let tokens: Vec<&str> = code.split_whitespace().collect();
    assert_eq!(tokens, ["a", "'l:", "b", "r#type", "e"]);
}

#[test]
fn paths_are_resolved() {
    let source = Source::new(
        "src/a/b.rs",
        "use super::c;\nmod inner {\n    use super::{d::{self, e as f}, super::super::g};\n}\n::std::h();",
    );
    let found: Vec<(usize, String)> =
        named(&source).into_iter().map(|name| (name.line, name.path.join("::"))).collect();
    let wanted =
        [(1, "crate::a::c"), (3, "crate::a::b::d"), (3, "crate::a::b::d::e"), (3, "crate::g")];
    let wanted = wanted.map(|(line, path)| (line, path.to_owned()));
    assert_eq!(found[..4], wanted);
    assert_eq!(found[4], (5, "std::h".to_owned()));
}

#[test]
fn a_package_that_the_guided_fuzzer_lacks_is_reported() {
    let manifest =
        Source::new("tests/fuzz/guided/Cargo.toml", "[dependencies]\nserde_json = \"1\"\n");
    let text = "//! A.\nuse serde_json::Value;\nuse sonic_rs::{Value, from_str};\nuse std::fmt;\n";
    let target = Source::new("tests/fuzz/target/kalshi.rs", text);
    let breaches = rules::guided_packages(&[manifest, target]);
    let wanted = "tests/fuzz/target/kalshi.rs:3: tests/fuzz/guided/Cargo.toml has no sonic-rs";
    assert_eq!(printed(&breaches), [wanted]);
}
