//! `ringbook doctor`: rates the settings of the host.
//!
//! Runs on:  main thread; reads only.
use super::Failure;
use crate::base::limits::SETTINGS_BYTES_MAX;
use crate::config::{UsageError, flags::DoctorFlags, layout};
use crate::host::facts::{Facts, Layout};
use crate::host::{Finding, Profile, judge, show};
use crate::io::probe::{Measured, measure};
use crate::io::{file, host::facts, output};
use crate::topology::{Idle, Topology};
use serde::Serialize;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Time in which interrupts and steal are counted.
const WINDOW: Duration = Duration::from_millis(500);

/// Prints the ratings.
///
/// # Errors
/// A flag or the profile is unusable.
pub fn run(flags: &DoctorFlags) -> Result<ExitCode, Failure> {
    let wished = layout(&flags.layout)?;
    let named = flags.profile.as_deref().map(profile).transpose()?;
    let mut facts = facts(WINDOW);
    let topology = Topology::plan(&wished, &facts.usable).ok();
    facts.layout = topology.map(|topology| Layout {
        shard_cores: topology.shards.iter().filter_map(|shard| shard.core).collect(),
        threads: topology.threads().count(),
        spins: topology.shards.iter().any(|shard| shard.idle == Idle::Spin),
    });
    let profile = named.unwrap_or_else(|| Profile::guess(&facts));
    let findings = judge(&facts, &profile);
    let measured =
        (flags.measure > 0).then(|| measure(&facts.usable, Duration::from_secs(flags.measure)));
    let text = if flags.json {
        json(&facts, &profile, &findings, measured.as_ref())
    } else {
        text(&facts, &profile, &findings, measured.as_ref())
    };
    output::print(&text);
    Ok(if show::can_run(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn profile(name: &str) -> Result<Profile, UsageError> {
    if !name.contains('/') && !name.contains('.') {
        return Profile::ours(name).map_err(|error| UsageError(format!("--{error}")));
    }
    let bytes = file::read_small(Path::new(name), SETTINGS_BYTES_MAX);
    let bytes = bytes.map_err(|why| UsageError(format!("--profile {why}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| UsageError(format!("--profile {name}: cannot be read: {error}")))?;
    Profile::parse(name, &text).map_err(|error| UsageError(format!("--{error}")))
}

#[derive(Serialize)]
struct Document<'f> {
    #[serde(flatten)]
    report: show::Report<'f>,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<&'f Measured>,
}

fn json(
    facts: &Facts,
    profile: &Profile,
    findings: &[Finding],
    measured: Option<&Measured>,
) -> String {
    let document = Document { report: show::report(facts, profile, findings), measured };
    let text = sonic_rs::to_string(&document).expect("plain numbers and texts are JSON");
    format!("{text}\n")
}

fn text(
    facts: &Facts,
    profile: &Profile,
    findings: &[Finding],
    measured: Option<&Measured>,
) -> String {
    let coloured = output::stdout_is_terminal();
    let table = show::table(findings, coloured);
    let summary = show::summary(facts, profile, findings);
    let measured = measured.map_or_else(String::new, ToString::to_string);
    format!("{table}\n{measured}{summary}\n")
}
