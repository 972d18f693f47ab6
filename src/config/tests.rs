//! Services that a run does not ask.
use super::*;
use clap::Parser as _;
use flags::{Cli, Command};

#[test]
fn services_of_the_file_that_a_run_does_not_ask_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pools.toml");
    std::fs::write(&path, pools::EXAMPLE).unwrap();
    let line = ["ringbook", "run", "--pools", path.to_str().unwrap()];
    let Command::Run(flags) = Cli::parse_from(line).command else { panic!("`run` was asked for") };
    let config = Config::from_flags(&flags).unwrap();
    assert_eq!(config.asked_services(), ["polymarket-gamma", "polymarket-clob"]);
    let own = ["comfyui", "litellm", "wan2gp", "rvc", "whisper"];
    let venues = ["polymarket-ws", "kalshi-rest", "kalshi-ws"];
    assert_eq!(config.ignored_services(), [&own[..], &venues].concat());
}
