//! Findings as a table, as JSON, and as one line.
//!
//! Runs on:  main thread (pure).
use super::{Facts, Finding, Profile, Verdict};
use serde::Serialize;
use std::fmt::Write as _;

/// Output of `ringbook doctor --json`, without measurements.
#[derive(Clone, Debug, Serialize)]
pub struct Report<'f> {
    /// Profile.
    pub profile: &'f str,
    /// Same as [`summary`].
    pub summary: String,
    /// Number of settings as expected.
    pub ok: usize,
    /// Number of warnings.
    pub warn: usize,
    /// Number of settings that prevent running.
    pub bad: usize,
    /// All settings.
    pub settings: &'f [Finding],
}

fn count(findings: &[Finding], verdict: Verdict) -> usize {
    findings.iter().filter(|finding| finding.verdict == verdict).count()
}

/// Whether no setting prevents running.
pub fn can_run(findings: &[Finding]) -> bool {
    count(findings, Verdict::Bad) == 0
}

/// One line that describes the host, to accompany measurements.
pub fn summary(facts: &Facts, profile: &Profile, findings: &[Finding]) -> String {
    let named = |verdict: Verdict| -> Vec<&str> {
        findings.iter().filter(|it| it.verdict == verdict).map(|it| it.setting).collect()
    };
    let (ok, warn, bad) = (named(Verdict::Ok), named(Verdict::Warn), named(Verdict::Bad));
    let place = if facts.is_virtual() { "virtual" } else { "own" };
    let mut line = format!(
        "{}, {} {place} cores, Linux {}, clock {}, load {:.1}; profile {}: {} ok",
        facts.cpu_model,
        facts.online.len(),
        facts.kernel,
        facts.clock_source.as_deref().unwrap_or("?"),
        facts.load.unwrap_or(0.0),
        profile.name,
        ok.len(),
    );
    for (names, verdict) in [(warn, "warn"), (bad, "bad")] {
        if !names.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(line, ", {} {verdict} ({})", names.len(), names.join(" "));
        }
    }
    line
}

/// The JSON output.
pub fn report<'f>(facts: &Facts, profile: &'f Profile, findings: &'f [Finding]) -> Report<'f> {
    Report {
        profile: &profile.name,
        summary: summary(facts, profile, findings),
        ok: count(findings, Verdict::Ok),
        warn: count(findings, Verdict::Warn),
        bad: count(findings, Verdict::Bad),
        settings: findings,
    }
}

/// One line per setting, with the remedy if there is one.
pub fn table(findings: &[Finding], colored: bool) -> String {
    let width = findings.iter().map(|finding| finding.setting.len()).max().unwrap_or(0);
    let mut out = String::new();
    for finding in findings {
        let verdict = finding.verdict.name();
        let (color, end) = match (colored, finding.verdict) {
            (false, _) | (true, Verdict::Info) => ("", ""),
            (true, Verdict::Ok) => ("\x1b[32m", "\x1b[0m"),
            (true, Verdict::Warn) => ("\x1b[33m", "\x1b[0m"),
            (true, Verdict::Bad) => ("\x1b[31m", "\x1b[0m"),
        };
        let Finding { setting, found, remedy, .. } = finding;
        let arrow = if remedy.is_empty() { "" } else { "  -> " };
        let _ =
            writeln!(out, "{color}{verdict:<4}{end}  {setting:<width$}  {found}{arrow}{remedy}");
    }
    out
}
