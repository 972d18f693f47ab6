//! Ticks and labels of each axis.
use super::*;

fn labels(scale: &Scale, label: impl Fn(f64) -> String) -> Vec<String> {
    let ticks = scale.ticks(label).into_iter();
    ticks.map(|tick| tick.label).filter(|label| !label.is_empty()).collect()
}

#[test]
fn a_linear_axis_has_round_steps() {
    let scale = Scale::linear(0.0, 873.0, 5.0, (300.0, 0.0));
    assert_eq!(labels(&scale, count), ["0", "200", "400", "600", "800", "1k"]);
    assert!((scale.at(500.0) - 150.0).abs() < 1e-9);
    assert_eq!((scale.at(2_000.0), scale.at(-1.0)), (0.0, 300.0));
    assert_eq!(labels(&Scale::linear(0.0, 0.0, 4.0, (0.0, 1.0)), count).len(), 2);
    let price = |value: f64| format!("{value:.2}");
    let scale = Scale::between(0.395, 0.445, 5.0, (0.0, 100.0));
    assert_eq!(labels(&scale, price), ["0.40", "0.41", "0.42", "0.43", "0.44"]);
}

#[test]
fn a_logarithmic_axis_has_decades_and_their_quarters() {
    let scale = Scale::log(1.2e3, 0.9e6, (0.0, 300.0));
    assert_eq!(labels(&scale, duration), ["1 µs", "10 µs", "100 µs", "1 ms"]);
    let ticks = scale.ticks(duration);
    assert_eq!(ticks.len(), 13);
    let ratio = 10f64.powf(0.25);
    assert!(ticks.windows(2).all(|t| (t[1].value / t[0].value - ratio).abs() < 1e-9));
    assert!((scale.at(1e5) - 200.0).abs() < 1e-9);
    let near = Scale::log(11e6, 13e6, (0.0, 1.0));
    assert_eq!(labels(&near, duration), ["10 ms", "18 ms"]);
    let quarters = Scale::log(1.1e6, 9e6, (0.0, 1.0));
    assert_eq!(labels(&quarters, duration), ["1 ms", "1.8 ms", "3.2 ms", "5.6 ms", "10 ms"]);
}

#[test]
fn times_have_a_date_where_the_day_changes() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap().as_nanosecond() as u64;
    let shown = |from: &str, to: &str| {
        let ticks = Scale::time(at(from), at(to), (0.0, 1.0)).ticks(count).into_iter();
        ticks.map(|tick| format!("{} {}", tick.label, tick.date)).collect::<Vec<_>>()
    };
    let night = shown("2026-11-27T21:30:00Z", "2026-11-28T02:10:00Z");
    let expected =
        ["22:00 2026-11-27", "23:00 ", "00:00 2026-11-28", "01:00 ", "02:00 "].map(String::from);
    assert_eq!(night, expected);
    let seconds = shown("2026-11-27T21:30:00.4Z", "2026-11-27T21:30:09Z");
    assert_eq!((seconds.len(), &*seconds[0]), (9, "21:30:01 2026-11-27"));
    let moment = shown("2026-11-27T21:30:00Z", "2026-11-27T21:30:00Z");
    assert_eq!(moment[0], "21:30:00.000 2026-11-27");
    let month = shown("2026-10-27T21:30:00Z", "2026-11-27T21:30:00Z");
    assert!(month.len() >= 4 && month.iter().all(|tick| tick.starts_with("00:00 2026-")));
}

#[test]
fn labels_are_short() {
    let durations = [2_000.0, 1e9, 17.8, 1_778_279.0, 999_600.0].map(duration);
    assert_eq!(durations, ["2 µs", "1 s", "18 ns", "1.8 ms", "1 ms"]);
    assert_eq!([1e3, 2e6, 1.5e5, 70.0, 0.25].map(count), ["1k", "2M", "150k", "70", "0.25"]);
}
