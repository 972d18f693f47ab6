//! A program without the feature.
use super::*;

#[test]
fn a_source_takes_nothing_that_needs_a_venue() {
    if cfg!(not(feature = "kafka")) {
        return;
    }
    let source = || {
        let mut config = Config::default();
        config.bus_source("kafka://a:1/x", &["polymarket", "kalshi"]).unwrap();
        config
    };
    assert_eq!(source().check(), Ok(()));
    let mut config = source();
    config.market("a-slug").unwrap();
    let line = config.check().unwrap_err().to_string();
    assert_eq!(line, "source bus: `market` is for an engine that follows the venues: set it there");
    let mut config = source();
    config.bus("kafka://a:1/y", Duration::from_secs(60)).unwrap();
    assert!(config.check().unwrap_err().to_string().starts_with("source bus: `bus` is for"));
    let line = Config::default().bus_source("kafka://a:1/x", &["mars"]).unwrap_err().to_string();
    assert!(line.starts_with("venue mars: use polymarket or"), "{line}");
}

#[test]
fn a_program_without_the_feature_names_it() {
    let mut config = Config::default();
    let result = config.bus("kafka://a:1/x", Duration::from_secs(60)).map(drop);
    if cfg!(feature = "kafka") {
        assert_eq!(result, Ok(()));
        let line = config.bus("kafka://a/x", Duration::from_secs(60)).unwrap_err().to_string();
        assert!(line.starts_with("bus kafka://a/x: name each broker"), "{line}");
        let line = config.bus("kafka://a:1/x", Duration::ZERO).unwrap_err().to_string();
        assert_eq!(line, "bus-snapshot-seconds 0: must be 1 to 86400");
    } else {
        let line = result.unwrap_err().to_string();
        assert!(line.starts_with("bus kafka://a:1/x: ") && line.contains("`kafka`"), "{line}");
        assert!(config.bus.is_none());
    }
}

#[test]
fn a_rack_has_no_dot() {
    if cfg!(not(feature = "kafka")) {
        return;
    }
    let mut config = Config::default();
    config.bus("kafka://a:1/x?engine=e-1", Duration::from_secs(60)).unwrap();
    assert!(config.cluster("live", Some("east-1_b")).is_ok());
    for (name, rack) in [("live", "east.1"), ("live.x", "east"), ("live", "")] {
        let line = config.cluster(name, Some(rack)).unwrap_err().to_string();
        assert!(line.contains("use letters, digits, `-` and `_`"), "{name} {rack}: {line}");
    }
}
