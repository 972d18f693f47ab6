//! Builders by methods and by command lines, and settings that cannot be used.
use super::*;
use crate::config::flags::{Cli, Command};
use clap::Parser as _;

#[test]
fn the_first_setting_that_cannot_be_used_is_the_error() {
    let builder = EngineBuilder::default().shards(0).market("").venue(Polymarket::default());
    assert_eq!(builder.config().unwrap_err().to_string(), "shards 0: must be 1 to 256");
    let missing = EngineBuilder::default().venue(Kalshi::with_key("id", "/no/such/key"));
    let error = missing.all_markets().config().unwrap_err().to_string();
    assert!(error.starts_with("kalshi-key /no/such/key"), "{error}");
}

/// Flags and methods give the same configuration, so that a default exists once.
#[test]
fn a_command_line_is_the_same_as_the_methods() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("trades.db").display());
    let same = |flags: &[&str], builder: EngineBuilder| {
        let line = ["ringbook", "run"].iter().chain(flags);
        let Command::Run(flags) = Cli::parse_from(line).command else { panic!() };
        let of_flags = Config::from_flags(&flags).unwrap();
        assert_eq!(format!("{of_flags:?}"), format!("{:?}", builder.config().unwrap()));
    };
    let polymarket = || EngineBuilder::default().venue(Polymarket::default());
    same(&[], polymarket().all_markets());
    same(
        &["--market", "a-slug", "--no-discovery", "--shards", "3", "--trades", &database],
        polymarket().market("a-slug").shards(3).trades(database.as_str()),
    );
    same(
        &[
            "--serve",
            "127.0.0.1:9300",
            "--serve-name",
            "host",
            "--gateway",
            "127.0.0.1:9400",
            "--gateway-stale",
            "hold",
            "--gateway-buffer",
            "2",
            "--capture",
            "c",
            "--capture-keep-days",
            "30",
            "--capture-keep-gb",
            "9",
            "--capture-on-close",
            "cp -t copies",
            "--idle",
            "spin",
        ],
        polymarket()
            .all_markets()
            .serve(([127, 0, 0, 1], 9300))
            .serve_name("host")
            .gateway(([127, 0, 0, 1], 9400))
            .gateway_stale(StalePolicy::Hold)
            .gateway_buffer_mib(2)
            .capture(
                Capture::new("c")
                    .keep_for(Duration::from_secs(30 * 86_400))
                    .keep_bytes(9_000_000_000)
                    .on_close("cp -t copies"),
            )
            .idle(Idle::Spin),
    );
    let [http, ws] = ["http://127.0.0.1:8", "ws://127.0.0.1:8/ws/market"];
    same(
        &["--gamma-url", http, "--clob-url", http, "--ws-url", ws, "--audit", "7"],
        EngineBuilder::default()
            .venue(Polymarket::at(http, ws))
            .all_markets()
            .audit(Duration::from_secs(7)),
    );
}
