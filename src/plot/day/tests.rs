//! The recorded time: values of columns, gaps and losses as the plot has them.
use super::*;
use crate::base::time::MILLISECOND_NS;
use crate::plot::svg::tests::{numbers, texts};

/// 2026-11-27T07:00:00Z.
const START_NS: u64 = 1_795_762_800 * SECOND_NS;

fn frame(after_ms: u64, messages: u64, lag_ms: u64) -> Measured {
    Measured {
        receive_ns: START_NS + after_ms * MILLISECOND_NS,
        messages,
        lag_ns: Some(lag_ms * MILLISECOND_NS),
        latency_ns: Some(2_000),
    }
}

/// A minute with a frame of two messages each 100 ms; the lag rises from 10 ms to 609 ms.
fn minute() -> Day {
    let mut day = Day::default();
    (0..600).for_each(|place| day.on_frame(&frame(100 * place, 2, 10 + place)));
    day
}

#[test]
fn columns_have_the_rate_and_the_percentiles_of_their_frames() {
    let day = minute();
    let width_ms = day.columns.width_ns() / MILLISECOND_NS;
    assert_eq!((width_ms, day.sum(|span| span.messages)), (256, 1_200));
    let lag = day.steps(None, |span| span.lag.quantile(1.0).map(|ns| ns as f64));
    let near = |value: f64, ms: f64| (value / 1e6 - ms).abs() <= ms * 0.0625;
    assert!(near(lag[0].1.unwrap(), 10.0) || near(lag[0].1.unwrap(), 11.0));
    assert!(near(lag.last().unwrap().1.unwrap(), 609.0));
    assert_eq!(lag[0].0, START_NS as f64);
    let mut values = Values::default();
    (1..=1_000).for_each(|ns| values.record(ns));
    let quantile = |share| values.quantile(share).unwrap() as f64;
    assert!((quantile(0.5) / 500.0 - 1.0).abs() < 0.0625, "{}", quantile(0.5));
    assert!((quantile(0.99) / 990.0 - 1.0).abs() < 0.0625);
    assert!((quantile(1.0) / 1_000.0 - 1.0).abs() < 0.0625);
}

#[test]
fn gaps_of_all_shards_are_marked_and_losses_counted() {
    let mut shards = [minute(), Day::default(), Day::default()];
    // The second shard was quiet for the last ten seconds before the gap; the third one never has a frame.
    shards[1].on_frame(&frame(50_000, 1, 5));
    for day in &mut shards {
        day.on_gap();
    }
    shards[0].on_frame(&frame(120_000, 1, 5));
    shards[1].on_frame(&frame(121_000, 1, 5));
    shards[0].on_connection_lost(START_NS + 30_000 * MILLISECOND_NS);
    shards[0].on_frames_lost(START_NS + 40_000 * MILLISECOND_NS);
    let day = shards.into_iter().reduce(Day::join).unwrap();
    let at = |ms: u64| START_NS + ms * MILLISECOND_NS;
    assert_eq!(day.gaps, [(at(59_900), at(120_000))]);
    let rate = day.steps(Some(0.0), |span| Some(span.messages as f64));
    assert_eq!(rate.iter().filter(|step| step.1.is_none()).count(), 1, "{rate:?}");
    let svg = render(&[("kalshi".into(), Day::default()), ("polymarket".into(), day)], "A day");
    let svg = svg.unwrap();
    let texts = texts(&svg);
    let has = |text: &str| texts.iter().any(|t| t == text);
    for text in [
        "connection lost: 1",
        "frames lost: 1",
        "not recorded: 1",
        "messages / s",
        "lag",
        "latency",
        "receive time, UTC",
        "2026-11-27",
        "07:00:00",
        "07:02:00",
        "polymarket",
    ] {
        assert!(has(text), "{text}: {texts:?}");
    }
    assert!(!has("kalshi"), "nothing of it was recorded");
    let gap = "<rect class=\"gap\" ";
    let spans: Vec<&str> = svg.split(gap).skip(1).collect();
    // One a panel, and the legend's.
    assert_eq!(spans.len(), 4);
    let x = Scale::time(at(0), at(121_000), (LEFT, RIGHT));
    let left = numbers(&format!(" {}", spans[0]), "x")[0];
    assert!((left - x.at(at(59_900) as f64)).abs() <= 0.06, "{left}");
    assert_eq!(svg.matches("class=\"mark lost-connection\"").count(), 1);
}

#[test]
fn nothing_with_a_time_is_no_plot() {
    let mut day = Day::default();
    day.on_frame(&Measured { messages: 7, ..Measured::default() });
    day.on_connection_lost(0);
    day.on_frames_lost(0);
    day.on_gap();
    assert!(day.is_empty());
    assert_eq!(render(&[("x".into(), day)], ""), None);
    assert_eq!(render(&[], ""), None);
}

#[test]
fn a_long_day_takes_no_more_than_its_columns() {
    let mut day = Day::default();
    for second in 0..86_400 {
        day.on_frame(&frame(second * 1_000, 1, second % 50));
    }
    assert!(day.columns.iter().count() <= COLUMNS as usize);
    let svg = render(&[("x".into(), day.clone()), ("y".into(), day)], "").unwrap();
    assert!(svg.len() < 400_000, "{}", svg.len());
}
