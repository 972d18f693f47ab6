//! Unsafe text, conditions of health, quantiles between two answers.
use super::*;

#[test]
fn text_of_the_venue_cannot_move_the_cursor() {
    let json = "{\"error\":\"\\u001b[31m\\n\\\"quoted\\\" \\\\ \u{9b}x \u{202e}\"}";
    let refusal: Refusal = parse(json.as_bytes()).unwrap();
    assert_eq!(refusal.error, "\\u001b[31m\\n\"quoted\" \\ \\u009bx \\u202e");
    assert!(!parse::<Refusal>(b"<html>\n<body>").unwrap_err().contains('\n'));
}

#[test]
fn a_line_of_health_is_matched_by_its_condition() {
    let condition = |text: &str| Condition { condition: text.into(), remedy: String::new() };
    assert!(
        condition("{shard} has not reported for {seconds} s: {why}")
            .is("shard-1 has not reported for 9 s: x")
    );
    assert!(condition("no market").is("no market") && !condition("no market").is("no market yet"));
    assert!(!condition("{count} books are stale").is("3 books are live"));
}

#[test]
fn quantiles_are_bounds_of_buckets_of_the_time_between_two_answers() {
    let at = |buckets: Buckets| Histograms {
        stages: vec![Stage { stage: "read".into(), buckets }],
        ..Histograms::default()
    };
    let (before, after) = (at(vec![(10, 5), (30, 1)]), at(vec![(10, 5), (20, 90), (30, 11)]));
    let grown = after.since(Some(&before), "read");
    assert_eq!(grown, [(20, 90), (30, 10)]);
    assert_eq!([0.5, 0.9, 0.91, 1.0].map(|share| quantile(&grown, share)), [20, 20, 30, 30]);
    assert_eq!((quantile(&[], 0.5), after.since(None, "none").len()), (0, 0));
}
