//! Speeds and plans that cannot work.
use super::*;

#[test]
fn speeds_are_read_or_explained() {
    for (text, speed) in [
        ("max", Speed::Max),
        ("1x", Speed::Times(1.0)),
        ("2.5x", Speed::Times(2.5)),
        ("100X", Speed::Times(100.0)),
        (".5x", Speed::Times(0.5)),
    ] {
        assert_eq!(text.parse(), Ok(speed), "{text}");
    }
    for bad in
        ["", "x", "1", "0x", "-1x", "1e3x", "infx", "nanx", "1.2.3x", "MAX", "1 x", "9999999x"]
    {
        assert!(bad.parse::<Speed>().is_err(), "{bad}");
    }
    assert_eq!(Speed::Times(2.5).to_string(), "2.5x");
}

#[test]
fn a_plan_that_cannot_work_is_refused() {
    let stdin = || vec![Source::Stdin];
    let plan = |files, shards, repeat| Plan::new(files, shards, repeat, Speed::Max, None);
    assert!(plan(stdin(), 1, 1).is_ok());
    assert!(plan(stdin(), 1, 2).unwrap_err().contains("repeated"));
    assert!(plan(vec![Source::Stdin, Source::Stdin], 1, 1).is_err());
    assert!(plan(vec![], 1, 1).is_err());
    assert!(plan(stdin(), 0, 1).is_err());
    assert!(plan(stdin(), REPLAY_SHARDS_MAX + 1, 1).is_err());
    assert!(plan(stdin(), 1, 0).is_err());
    assert!(Plan::new(stdin(), 1, 1, Speed::Max, Some("-".into())).is_err());
}
