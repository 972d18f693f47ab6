//! The program: its flags reach the venue, and wrong ones are refused with a reason.
use super::client::{Client, Place, kinds};
use super::model::levels;
use serde_json::json;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

fn program(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_venue-sim"));
    command.args(["--venue", "kalshi", "--listen", "127.0.0.1:0"]).args(flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Running {
    child: Child,
    place: Place,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn start(flags: &[&str]) -> Running {
    let more = ["--plain", "--paused", "--markets", "6", "--levels", "8", "--no-rate-limits"];
    let flags: Vec<&str> = more.into_iter().chain(flags.iter().copied()).collect();
    let mut child = program(&flags).spawn().unwrap();
    let mut address = None;
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap) {
        if let Some(rest) = line.strip_prefix("rest  http://") {
            address = Some(rest.split('/').next().unwrap().parse().unwrap());
        }
        // The last of what it prints.
        if line.starts_with("run ") {
            break;
        }
    }
    let address = address.unwrap();
    Running { child, place: Place { address, ca_pem: None } }
}

#[test]
fn flags_reach_the_venue() {
    let running = start(&[
        "--kalshi-yes-price",
        "always",
        "--kalshi-yes-levels",
        "descending",
        "--kalshi-ok-empty-msg",
        "--kalshi-session-markets-max",
        "5",
        "--kalshi-subscription-commands-per-second",
        "2",
        "--kalshi-message-bytes-max",
        "400",
        "--kalshi-skew-max",
        "9000000000000",
    ]);
    let place = &running.place;
    let tickers = place.tickers();
    let old = super::client::headers("anybody", "7", "AAAA");
    let mut client = Client::dial(place, &old).ok().unwrap();
    let channels = ["orderbook_delta"];
    let params =
        json!({"channels": channels, "market_ticker": tickers[0], "skip_ticker_ack": true});
    let all = client.ask("subscribe", params.clone());
    let side = levels(&all[1]["msg"]["no_dollars_fp"]);
    assert!(side.windows(2).all(|pair| pair[0].0 > pair[1].0), "{side:?}");
    let ok = client.ask("subscribe", params.clone());
    assert_eq!((kinds(&ok), &ok[0]["msg"]), (vec!["ok"], &json!({})));
    client.ask("subscribe", params.clone());
    assert_eq!(client.code("subscribe", params), 27);
    let params = json!({"channels": ["ticker"], "market_tickers": tickers[..5]});
    assert_eq!(client.code("subscribe", params), 26);
    client.send_text(&" ".repeat(401));
    assert_eq!(client.over(), Some(1009));
}

#[test]
fn flags_of_rates_and_buffers_reach_the_venue() {
    let running = start(&[
        "--kalshi-commands-per-second",
        "2",
        "--kalshi-commands-scope",
        "user",
        "--kalshi-outbound-bytes-max",
        "500",
        "--kalshi-ping-every",
        "50",
        "--kalshi-pong-timeout",
        "400",
    ]);
    let tickers = running.place.tickers();
    let mut clients = [Client::open(&running.place), Client::open(&running.place)];
    let params = json!({"channels": ["orderbook_delta"], "market_tickers": tickers});
    clients[0].send("subscribe", params);
    let all = clients[0].until(|m| m["type"] == "error");
    assert_eq!(all.last().unwrap()["msg"]["code"], 25, "six books are more than 500 bytes");
    clients[1].settle();
    let id = clients[1].send("list_subscriptions", json!({}));
    let received = clients[1].until(|m| m["id"] == id).pop().unwrap();
    assert_eq!(received["msg"]["code"], 27, "the third of all clients");
    // Neither reads, so that neither answers pings.
    running.place.wait("/clients", |clients| clients == 0);
}

#[test]
fn what_is_wrong_is_reported() {
    for (flags, text) in [
        (["--kalshi-yes-price", "maybe"], "maybe"),
        (["--kalshi-yes-levels", "sideways"], "sideways"),
        (["--kalshi-commands-scope", "planet"], "planet"),
        (["--kalshi-ping-every", "0"], "pings"),
        (["--kalshi-message-bytes-max", "2000000"], "message bytes"),
        (["--kalshi-outbound-bytes-max", "9000000000000"], "outbound bytes"),
        (["--public-key", "Cargo.toml"], "RSA"),
    ] {
        let output = program(&["--plain"]).args(flags).output().unwrap();
        let received = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {received}");
        assert!(received.contains(text), "{flags:?}: {received}");
    }
}

#[test]
fn a_duration_ends_it() {
    let output = program(&["--plain", "--markets", "3", "--duration", "1"]).output().unwrap();
    assert!(output.status.success());
    let received = String::from_utf8(output.stdout).unwrap();
    assert!(received.contains("ringbook run --venue kalshi"), "{received}");
}
