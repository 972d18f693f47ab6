//! Grouped numbers, and both forms of a report.
use super::*;

#[test]
fn numbers_are_grouped() {
    let shown = [0, 999, 1_000, 1_234_567].map(grouped);
    assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
}

#[test]
fn both_forms_say_the_same() {
    let mut report = ReplayReport {
        messages: 3_000_000,
        frames: 1_000_000,
        cost: Cost::of(2_000_000_000, Ok(3_000_000_000)),
        elapsed_ns: 4_000_000_000,
        shards: 2,
        per_shard: vec![ShardLine::default(); 2],
        digest: "abc".into(),
        ..ReplayReport::default()
    };
    report.set_rates();
    let text = report.to_text();
    assert!(text.contains("messages/s per core   1,500,000"), "{text}");
    assert!(text.contains("instructions/frame    3,000"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["messages_per_second_per_core"], 1_500_000.0);
    assert_eq!(json["messages_per_second"], 750_000.0);
    assert_eq!(
        (&json["busy_ns"], &json["instructions_per_frame"]),
        (&2_000_000_000_u64.into(), &3_000.0.into())
    );
    assert_eq!(json["books"]["live"], 0);
    assert_eq!(json["digest"], "abc");
    report.cost.add(&Cost::of(1, Err("no counter".into())));
    report.set_rates();
    let text = report.to_text();
    assert!(text.contains("instructions/frame    not counted here: no counter"), "{text}");
}
