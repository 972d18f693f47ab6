//! The plot: well-formed for any run, everything within the image, labels apart.
use super::*;
use crate::command::bench_live::table::Setting;
use crate::counter::latency::LatencySummary;

fn step(rate: u64, p50_ns: u64, verdict: Verdict) -> Step {
    let summary = |factor: u64| LatencySummary {
        count: 100,
        p50_ns: p50_ns * factor,
        p99_ns: 3 * p50_ns * factor,
        p999_ns: 7 * p50_ns * factor,
        max_ns: 40 * p50_ns * factor,
        ..LatencySummary::default()
    };
    Step {
        rate,
        seconds: 1,
        intended: 100,
        offered_in_time: 100,
        sent: 100,
        received: 100,
        received_in_time: 100,
        in_time_share: 1.0,
        frames_per_second: 100.0,
        held_up: 0,
        latency: summary(4),
        venue_late: summary(1),
        read_to_applied: summary(1),
        shard_cpu: vec![0.5],
        control_cpu: 0.0,
        serve_cpu: 0.0,
        clients_cpu: 0.0,
        client_frames: 0,
        venue_cpu: 1.0,
        reconnects: 0,
        verdict,
    }
}

fn outcome(steps: Vec<Step>) -> Outcome {
    let setting = Setting { machine: "AT&T <1>\u{7}\"x\"".into(), ..Setting::default() };
    Outcome::new(setting, steps, None)
}

/// Every tag closed in order, attributes quoted, no bare `&` or `<`; gives the texts.
fn read(svg: &str) -> Vec<String> {
    let (mut open, mut texts, mut rest) = (Vec::new(), Vec::new(), svg);
    while let Some(start) = rest.find('<') {
        let between = rest[..start].trim();
        if !between.is_empty() {
            assert!(!between.contains('>'), "{between}");
            for (at, _) in between.match_indices('&') {
                let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
                assert!(known.iter().any(|entity| between[at..].starts_with(entity)), "{between}");
            }
            texts.push(between.to_owned());
        }
        let end = start + rest[start..].find('>').expect("a tag has an end");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    texts
}

fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
    let pattern = format!(" {attribute}=\"");
    let values = svg.split(&pattern).skip(1).map(|rest| rest.split('"').next().unwrap());
    values.map(|value| value.parse().unwrap()).collect()
}

#[test]
fn any_run_gives_a_well_formed_drawing() {
    let kept = |rate| step(rate, 20_000 + rate, Verdict::KeptUp);
    let runs = [
        vec![],
        vec![kept(1)],
        vec![kept(1_000), kept(1_001)],
        vec![kept(10), kept(1_000), kept(20_000), step(1_000_000, 1, Verdict::BothTooSlow)],
        vec![kept(1_000), step(3_000, 900_000_000_000, Verdict::EngineTooSlow)],
    ];
    for steps in runs {
        let svg = Plot::of_ladder(&outcome(steps)).svg();
        let texts = read(&svg);
        assert!(texts.iter().any(|text| text.contains("AT&amp;T &lt;1&gt; &quot;x&quot;")));
        for (attribute, most) in [("x", WIDTH), ("x1", WIDTH), ("y", HEIGHT), ("cy", HEIGHT)] {
            let all = numbers(&svg, attribute);
            assert!(all.iter().all(|&value| (0.0..=most).contains(&value)), "{attribute} {all:?}");
        }
        assert!(numbers(&svg, "cy").iter().all(|&y| (TOP..=BOTTOM).contains(&y)));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}

#[test]
fn names_stand_apart_and_the_limit_is_marked() {
    let steps =
        vec![step(1_000, 1_000, Verdict::KeptUp), step(5_000, 1_000, Verdict::VenueTooSlow)];
    let mut outcome = outcome(steps);
    // All lines end in one point.
    let last = &mut outcome.steps[1];
    let same = LatencySummary {
        count: 1,
        p50_ns: 900,
        p99_ns: 900,
        p999_ns: 900,
        max_ns: 900,
        ..LatencySummary::default()
    };
    (last.latency, last.venue_late) = (same.clone(), same);
    let svg = Plot::of_ladder(&outcome).svg();
    let names = svg.split("<text ").filter(|text| text.contains("font-weight:600\">"));
    let places: Vec<f64> = names.map(|text| numbers(&format!(" {text}"), "y")[0]).collect();
    assert_eq!(places.len(), 5);
    assert!(places.windows(2).all(|pair| pair[1] - pair[0] >= LABEL_GAP - 0.2), "{places:?}");
    assert!(read(&svg).iter().any(|text| text == "5k: venue late"));
}

#[test]
fn axes_have_room_and_round_numbers() {
    assert_eq!((below(1.0e4), above(1.0e4)), (5_000.0, 20_000.0));
    assert_eq!((below(7.0e3), above(7.0e3)), (5_000.0, 10_000.0));
    assert_eq!(round_duration(2_000.0), "2 µs");
    assert_eq!(round_duration(1e9), "1 s");
    assert_eq!([1e3, 2e6, 1.5e5, 70.0].map(round_count), ["1k", "2M", "150k", "70"]);
    let axis = Axis { from: 1e3, to: 1e6, place: (0.0, 300.0) };
    assert!((axis.at(1e5) - 200.0).abs() < 1e-9);
    let labelled: Vec<f64> =
        axis.ticks(2.5).into_iter().filter(|t| t.1).map(|t| t.0.round()).collect();
    assert_eq!(labelled, [1e3, 1e4, 1e5, 1e6]);
}
