//! Refused values, alone and together.
use super::super::Polymarket;
use super::*;

fn line<T>(result: Result<T, SettingError>) -> String {
    result.map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_setter_refuses_what_cannot_be_used_and_changes_nothing() {
    let mut config = Config::default();
    assert_eq!(line(config.shards(0)), "shards 0: must be 1 to 256");
    assert!(line(config.market(" ")).starts_with("market \"\": this names nothing"));
    assert!(line(config.token("1 2")).starts_with("token 1 2: this is no token id"));
    assert!(line(config.serve_name("http://x")).starts_with("serve-name http://x: "));
    assert!(line(config.trades("oracle:x")).starts_with("trades "));
    let long = Capture::new("c").flush(Duration::from_secs(61));
    assert_eq!(line(config.capture(long)), "capture-flush-ms 61000: must be 10 to 60000");
    let small = Capture::new("c").keep_bytes(2_000_000_000);
    assert!(line(config.capture(small)).starts_with("capture-keep-gb 2: must have room for two"));
    assert!(line(config.capture(Capture::new("c").on_close(" "))).starts_with("capture-on-close"));
    let batches = Trades::new("sqlite:t.db").batches(0, Duration::from_secs(1));
    assert_eq!(line(config.trades(batches)), "trades-batch 0: must be 1 to 50000");
    let minutes = Duration::from_secs(601);
    assert_eq!(line(config.lag_warn(minutes)), "lag-warn 601: must be 0 to 600");
    assert!(line(config.tls_ca(Path::new("/no/such"))).starts_with("tls-ca /no/such"));
    let wrong = Polymarket::default().ws_url("https://x");
    assert!(line(config.venue(wrong)).starts_with("ws-url https://x"));
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn settings_that_do_not_fit_together_are_refused_before_the_start() {
    let mut config = Config::default();
    assert!(line(config.check()).starts_with("venue: none"));
    config.venue(Polymarket::default()).unwrap();
    assert_eq!(line(config.venue(Polymarket::default())), "venue polymarket: each venue once");
    assert!(line(config.check()).starts_with("market: nothing to follow"));
    config.token("KXTICKER").unwrap();
    assert!(line(config.check()).starts_with("token KXTICKER: this is no token id (decimal"));
    config.tokens.clear();
    config.all_markets(true).capture("folder").unwrap();
    assert_eq!(config.check(), Ok(()));
}
