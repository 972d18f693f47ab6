//! Plots of a recorded simulated venue against the tables that `ringbook export` makes of the same capture.
//!
//! Runs on:  test threads, with one venue and one engine as processes. The plot is read as a person reads it: places
//! by the labels of the axes.
use crate::engine::{Engine, count, sum};
use crate::program::{Program, TIMEOUT};
use crate::venue::Venue;
use jiff::Timestamp;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use rustix::process::Signal;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Output;

/// Units of the plot; places have one decimal, and the axes are read from labels with such places.
const NEAR: f64 = 0.25;

/// `ringbook` with these arguments, to its end and without a fault.
fn ringbook(args: &[&str]) -> Output {
    let output = Program::ringbook().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn column(row: &Row, name: &str) -> Option<String> {
    match row.get_column_iter().find(|(column, _)| *column == name).unwrap().1 {
        Field::Null => None,
        Field::Str(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn rows(path: &Path, token: &str) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let all = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    all.filter(|row| column(row, "token").as_deref() == Some(token)).collect()
}

fn receive_ns(row: &Row) -> f64 {
    match row.get_column_iter().find(|(column, _)| *column == "receive_time").unwrap().1 {
        Field::Long(ns) => *ns as f64,
        other => panic!("{other}"),
    }
}

/// Place and content of each text of a class.
fn texts<'s>(svg: &'s str, class: &str) -> Vec<(f64, f64, &'s str)> {
    let begin = format!("<text class=\"{class}\" ");
    let text = |rest: &'s str| {
        let attribute = |name: &str| -> f64 {
            let value = rest.split(&format!("{name}=\"")).nth(1).unwrap();
            value.split('"').next().unwrap().parse().unwrap()
        };
        let content = rest.split('>').nth(1).unwrap().split('<').next().unwrap();
        (attribute("x"), attribute("y"), content)
    };
    svg.split(&begin).skip(1).map(text).collect()
}

/// The line through the first and the last of these points: value to place.
fn axis(points: &[(f64, f64)]) -> impl Fn(f64) -> f64 + use<> {
    let ((v0, p0), (v1, p1)) = (points[0], points[points.len() - 1]);
    assert!(v0 < v1, "two labels: {points:?}");
    move |value| p0 + (value - v0) / (v1 - v0) * (p1 - p0)
}

/// Both axes by their labels: time in nanoseconds, price in dollars.
fn axes(svg: &str) -> (impl Fn(f64) -> f64 + use<>, impl Fn(f64) -> f64 + use<>) {
    let dates = texts(svg, "small date");
    let time = |&(x, _, label): &(f64, f64, &str)| {
        let date = dates.iter().rev().find(|date| date.0 <= x + NEAR).unwrap().2;
        let label = if label.len() == 5 { format!("{label}:00") } else { label.to_owned() };
        let at: Timestamp = format!("{date}T{label}Z").parse().unwrap();
        (at.as_nanosecond() as f64, x)
    };
    let times: Vec<_> = texts(svg, "x-tick").iter().map(time).collect();
    // A label stands 4 units below its tick.
    let price = |&(_, y, label): &(f64, f64, &str)| (label.parse().unwrap(), y - 4.0);
    let prices: Vec<_> = texts(svg, "y-tick").iter().map(price).collect();
    (axis(&times), axis(&prices))
}

/// The corners of a step curve at which a step begins.
fn corners(svg: &str, class: &str) -> Vec<(f64, f64)> {
    let data = svg.split(&format!("class=\"line {class}\" d=\"")).nth(1).unwrap();
    let data = data.split('"').next().unwrap();
    let (mut corners, mut x) = (Vec::new(), 0.0);
    let begins: Vec<usize> = data.match_indices(['M', 'H', 'V']).map(|(at, _)| at).collect();
    let ends = begins.iter().skip(1).copied().chain([data.len()]);
    for (&begin, end) in begins.iter().zip(ends) {
        let (letter, numbers) = data[begin..end].split_at(1);
        let numbers: Vec<f64> = numbers.split(' ').map(|number| number.parse().unwrap()).collect();
        match letter {
            "V" => corners.push((x, numbers[0])),
            _ => x = numbers[0],
        }
        corners.extend(numbers.get(1).map(|&y| (x, y)));
    }
    corners
}

/// The slug of a market names it.
fn check_slug(capture: &Path, condition: &str, slug: &str) {
    let drawn =
        |market: &str| ringbook(&["plot", capture.to_str().unwrap(), "--market", market]).stdout;
    assert!(drawn(condition) == drawn(slug), "{slug}");
}

/// Draws a market of a capture and compares it with the export's rows of its first book.
pub(crate) fn check_market(capture: &Path, market: &str, scratch: &Path) {
    let (capture, tables) = (capture.to_str().unwrap(), scratch.join("tables"));
    let plot = scratch.join("market.svg");
    ringbook(&["export", capture, "--out", tables.to_str().unwrap()]);
    let drawn = ringbook(&["plot", capture, "--market", market, "--out", plot.to_str().unwrap()]);
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(svg.len() < 2_000_000);
    let line = String::from_utf8(drawn.stdout).unwrap();
    let token = line.split("token ").nth(1).unwrap().split(':').next().unwrap();
    let (across, up) = axes(&svg);
    let of_top = |row: &Row| {
        let price = |name: &str| column(row, name).map(|text| text.parse::<f64>().unwrap());
        let is_live = column(row, "state").as_deref() == Some("live");
        let mid = price("bid").zip(price("ask")).map(|(bid, ask)| f64::midpoint(bid, ask));
        mid.filter(|_| is_live).map(|mid| (across(receive_ns(row)), up(mid)))
    };
    let tops: Vec<(f64, f64)> =
        rows(&tables.join("tops.parquet"), token).iter().filter_map(of_top).collect();
    let mid = corners(&svg, "mid");
    assert!(tops.len() > 10 && mid.len() > 5, "{} rows, {} corners", tops.len(), mid.len());
    let is_near =
        |a: &(f64, f64), b: &(f64, f64)| (a.0 - b.0).abs() < NEAR && (a.1 - b.1).abs() < NEAR;
    for corner in &mid {
        assert!(tops.iter().any(|top| is_near(top, corner)), "{corner:?} is no row: {tops:?}");
    }
    let by_price = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    let height = |tops: Option<&(f64, f64)>| tops.unwrap().1;
    let (highest, lowest) =
        (height(tops.iter().min_by(by_price)), height(tops.iter().max_by(by_price)));
    for extreme in [highest, lowest] {
        assert!(mid.iter().any(|corner| (corner.1 - extreme).abs() < NEAR), "{extreme}");
    }
    let trades = rows(&tables.join("trades.parquet"), token);
    for (side, class) in [("buy", "trade buy mark"), ("sell", "trade sell hollow")] {
        let is_of = |row: &&Row| column(row, "side").as_deref() == Some(side);
        let marks = svg.matches(&format!("<path class=\"{class}\"")).count();
        assert_eq!(marks, trades.iter().filter(is_of).count(), "{side}");
    }
    assert!(!trades.is_empty() && svg.contains("class=\"cells\""));
}

/// Files of a capture, in order.
fn segments(capture: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(capture).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|name| name == "zst")).collect();
    files.sort();
    files
}

/// Draws the recorded time and compares the lost connections with the records of the capture.
pub(crate) fn check_day(capture: &Path, scratch: &Path) {
    let plot = scratch.join("day.svg");
    let capture_text = capture.to_str().unwrap();
    ringbook(&["replay", capture_text, "--shards", "2", "--plot", plot.to_str().unwrap()]);
    let svg = std::fs::read_to_string(&plot).unwrap();
    let mut lost = 0;
    for file in segments(capture) {
        let text = zstd::decode_all(File::open(file).unwrap()).unwrap();
        let kinds = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).map(|line| {
            let record: Value = serde_json::from_slice(line).unwrap();
            record["k"].as_str().unwrap().to_owned()
        });
        lost += kinds.take_while(|kind| kind != "s").filter(|kind| kind == "e").count();
    }
    assert!(lost > 0 && svg.contains(&format!(">connection lost: {lost}<")), "{lost}");
    for curve in ["rate", "p50", "p99"] {
        assert!(!corners(&svg, curve).is_empty(), "{curve}");
    }
    assert!(svg.contains(">receive time, UTC<") && svg.contains("class=\"highest\""));
}

#[test]
fn plots_of_a_recorded_venue_have_the_values_of_its_export() {
    let scratch = tempfile::tempdir().unwrap();
    let capture = scratch.path().join("capture");
    let mut venue = Venue::start(&["--markets", "4", "--rate", "200", "--trades", "400"]);
    let mut engine =
        Engine::start(&venue, &["--shards", "2", "--capture", capture.to_str().unwrap()]);
    engine.wait_live(8);
    let reconnects = |stats: &Value| count(stats, "/pool/reconnects");
    let before = reconnects(&engine.stats());
    venue.control("fault?kind=cut&rate=2000&ms=600000");
    engine.wait_for("a cut", TIMEOUT, |stats| reconnects(stats) > before);
    venue.control("fault?kind=cut&rate=0");
    engine.wait_live(8);
    // Of each book so many that the first one's mid has moved and was traded at.
    engine.wait_for("trades", TIMEOUT, |stats| {
        sum(stats, "trades") > 100 && sum(stats, "updates") > 3_000
    });
    venue.pause();
    engine.program.signal(Signal::INT);
    assert!(engine.program.wait(TIMEOUT).success(), "{}", engine.program);
    for market in venue.markets() {
        check_market(&capture, &market.condition, scratch.path());
        check_slug(&capture, &market.condition, &market.slug);
    }
    check_day(&capture, scratch.path());
}
