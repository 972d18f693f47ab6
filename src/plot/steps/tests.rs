//! Random runs, and names beside the data.
use super::*;
use crate::plot::svg::tests::{numbers, texts};

fn steps(rates: &[f64], ns: &[u64]) -> Steps {
    let curve = |name, factor: u64| Curve {
        name,
        values_ns: ns.iter().map(|ns| ns.saturating_mul(factor)).collect(),
    };
    Steps {
        title: "From the venue's intended send to the book",
        lines: ["AT&T <1>\u{7}\"x\"".into(), String::new()],
        axis: "level changes a second",
        rates: rates.to_vec(),
        curves: vec![curve("max", 40), curve("p99", 3), curve("p50", 1)],
        limit: None,
    }
}

#[test]
fn any_run_gives_a_well_formed_drawing_within_its_frame() {
    assert_eq!(steps(&[], &[]).render(), None);
    for (rates, ns) in [
        (&[1.0][..], &[0][..]),
        (&[1_000.0, 1_001.0], &[21_000, 21_001]),
        (&[10.0, 1_000.0, 20_000.0, 1e6], &[20_010, 21_000, 40_000, 1]),
        (&[1_000.0, 3_000.0], &[1, 900_000_000_000]),
    ] {
        let mut drawn = steps(rates, ns);
        drawn.limit = Some((rates[0], "venue late".into()));
        let svg = drawn.render().unwrap();
        let texts = texts(&svg);
        assert!(texts.iter().any(|text| text == "AT&amp;T &lt;1&gt; &quot;x&quot;"));
        assert!(texts.iter().any(|text| text.ends_with(": venue late")));
        for (attribute, most) in [("x", WIDTH), ("x1", WIDTH), ("y", HEIGHT), ("y2", HEIGHT)] {
            let all = numbers(&svg, attribute);
            assert!(all.iter().all(|value| (0.0..=most).contains(value)), "{attribute} {all:?}");
        }
        let marks = svg
            .split("<path class=\"value ")
            .skip(1)
            .map(|mark| mark.split("d=\"M").nth(1).unwrap());
        let places = marks.map(|mark| mark.split('m').next().unwrap().split_once(' ').unwrap());
        let ys: Vec<f64> = places.map(|(_, y)| y.parse().unwrap()).collect();
        assert_eq!(ys.len(), 3 * rates.len());
        assert!(ys.iter().all(|y| (TOP..=BOTTOM).contains(y)), "{ys:?}");
    }
}

#[test]
fn names_stand_apart_beside_the_data() {
    let svg = steps(&[1_000.0, 5_000.0], &[900, 900]).render().unwrap();
    let names: Vec<&str> = svg.split("<text class=\"legend\"").skip(1).collect();
    let of = |name: &&str, attribute: &str| numbers(name, attribute)[0];
    let ys: Vec<f64> = names.iter().map(|name| of(name, "y")).collect();
    assert_eq!(ys.len(), 3);
    assert!(ys.windows(2).all(|pair| pair[1] - pair[0] >= 16.0), "{ys:?}");
    assert!(names.iter().all(|name| of(name, "x") > RIGHT));
}
