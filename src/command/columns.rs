//! Tables for people: columns as wide as their content.
//!
//! Runs on:  main thread (pure).
use std::fmt::Write as _;

/// Lines with columns as wide as their content: `left` ones, then numbers, which stand under each other by their units.
/// What a row has beyond the titles follows as it is.
pub(super) fn columns(
    titles: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
    left: usize,
) -> String {
    let count = titles.len();
    let titles = titles.iter().map(|&title| title.to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(titles).chain(rows).collect();
    let widths: Vec<usize> = (0..count)
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for line in &lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column < left {
                write!(text, "{cell:<width$}  ")
            } else {
                write!(text, "{cell:>width$}  ")
            };
        }
        text.extend(line.iter().skip(count).map(String::as_str));
        let _ = writeln!(out, "{}", text.trim_end());
    }
    out
}
