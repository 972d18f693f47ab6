//! Configuration file of `ringbook run`: its flags by their names, in TOML; all faults are reported at once.
//!
//! Runs on:  main thread. Bounds: `SETTINGS_BYTES_MAX` bytes.
//!
//! A key becomes the flag of the same name, so there is one reader, one help text and one check of each value.
use super::flags::Cli;
use super::{Config, UsageError};
use crate::base::limits::SETTINGS_BYTES_MAX;
use crate::io::executor::usable_cores;
use crate::io::file::read_small;
use crate::topology::Topology;
use clap::builder::ValueRange;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory as _, Parser as _};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Flags of `run` that a file has no keys for.
const NOT_KEYS: [&str; 3] = ["config", "help", "version"];

/// Faults of a file, one line each, with the file and mostly the line number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct FileError(pub Vec<String>);

/// One key of a file.
#[derive(Debug)]
struct Setting {
    /// Name of the flag without `--`.
    flag: String,
    /// Line number, from 1.
    line: usize,
    arguments: Vec<String>,
}

/// A file that was read.
#[derive(Debug)]
pub struct Settings {
    name: String,
    settings: Vec<Setting>,
}

/// The command line of this process, with the arguments of the file that `run --config` names, and what is taken from
/// that; a flag of the command line replaces the key of the file.
///
/// # Errors
/// [`FileError`]: the file cannot be read, or its faults.
pub fn with_file(mut line: Vec<OsString>) -> Result<(Vec<OsString>, Option<Settings>), FileError> {
    // Faults of the command line are those of its own reading.
    let found = Cli::command().ignore_errors(true).try_get_matches_from(&line);
    let Ok(Some(("run", run))) = found.as_ref().map(ArgMatches::subcommand) else {
        return Ok((line, None));
    };
    let Some(path) = run.get_one::<PathBuf>("config") else { return Ok((line, None)) };
    let command = built();
    let is_given = |flag: &str| {
        let source =
            flag_of(&command, flag).and_then(|flag| run.value_source(flag.get_id().as_str()));
        source == Some(ValueSource::CommandLine)
    };
    let mut file = Settings::read(path)?;
    file.settings.retain(|setting| !is_given(&setting.flag));
    line.extend(file.settings.iter().flat_map(|setting| &setting.arguments).map(OsString::from));
    Ok((line, Some(file)))
}

/// Checks a file as `run --config` would without further flags: each key, then the values with each other.
///
/// # Errors
/// [`FileError`]: all faults of the keys; of the values with each other the first.
pub fn check(path: &Path) -> Result<usize, FileError> {
    let file = Settings::read(path)?;
    let arguments = file.settings.iter().flat_map(|setting| &setting.arguments);
    let line = ["ringbook", "run"].into_iter().chain(arguments.map(String::as_str));
    let whole = Cli::try_parse_from(line).map_err(|error| one_line(&error));
    let checked = whole.and_then(|cli| match cli.command {
        super::flags::Command::Run(flags) => {
            let config = Config::checked(&flags);
            // Cores and shards too, as at the start.
            let planned = config.and_then(|config| {
                Topology::plan(&config.layout, &usable_cores()).map_err(UsageError::from)
            });
            planned.map_err(|UsageError(line)| line).map(drop)
        }
        _ => Ok(()),
    });
    checked.map_err(|line| FileError(vec![file.with_place(&line)]))?;
    Ok(file.settings.len())
}

impl Settings {
    fn read(path: &Path) -> Result<Self, FileError> {
        let name = path.display().to_string();
        let bytes = read_small(path, SETTINGS_BYTES_MAX)
            .map_err(|why| FileError(vec![format!("--config {why}")]))?;
        let text = String::from_utf8(bytes).map_err(|_| {
            FileError(vec![format!(
                "--config {name} is not text; `ringbook config --example` prints a file"
            )])
        })?;
        let settings = parse(&text).map_err(|faults| {
            let line = |(line, fault)| format!("{name}:{line}: {fault}");
            FileError(faults.into_iter().map(line).collect())
        })?;
        Ok(Self { name, settings })
    }

    /// A fault of the file, with the line of the first of its flags that is a key.
    fn with_place(&self, fault: &str) -> String {
        self.place(fault).unwrap_or_else(|| format!("{}: {fault}", self.name))
    }

    /// The same; `None` if no flag of it is a key.
    #[must_use]
    pub fn place(&self, fault: &str) -> Option<String> {
        let line = |rest: &str| {
            let flag = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next()?;
            Some(self.settings.iter().find(|setting| setting.flag == flag)?.line)
        };
        let line = fault.split("--").skip(1).find_map(line)?;
        Some(format!("{}:{line}: {fault}", self.name))
    }

    /// A fault of the whole command line, if it is one of the file: without that the line has none.
    pub(super) fn fault(&self, line: &[OsString], error: &clap::Error) -> Option<FileError> {
        let arguments = self.settings.iter().map(|setting| setting.arguments.len()).sum::<usize>();
        let own = &line[..line.len().saturating_sub(arguments)];
        let is_own = Cli::try_parse_from(own).is_err();
        (!is_own).then(|| FileError(vec![self.with_place(&one_line(error))]))
    }
}

/// The program's command line, with the global flags in each subcommand.
fn built() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// The flags of `run` that a file may have.
fn keys(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    let run = command.find_subcommand("run").into_iter().flat_map(clap::Command::get_arguments);
    run.filter(|flag| flag.get_long().is_some_and(|name| !NOT_KEYS.contains(&name)))
}

fn flag_of<'c>(command: &'c clap::Command, name: &str) -> Option<&'c Arg> {
    keys(command).find(|flag| flag.get_long() == Some(name))
}

/// Line and fault.
type Faults = Vec<(usize, String)>;

fn parse(text: &str) -> Result<Vec<Setting>, Faults> {
    let line = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    let fault = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        (line(at), format!("this is no TOML: {}", error.message().replace('\n', ", ")))
    };
    let mut faults: Faults = errors.iter().map(fault).collect();
    if !faults.is_empty() {
        faults.sort();
        return Err(faults);
    }
    let command = built();
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let (flag, line) = (key.get_ref().to_string(), line(key.span().start));
        match arguments(&command, &flag, value.get_ref()) {
            Ok(arguments) => settings.push(Setting { flag, line, arguments }),
            Err(fault) => faults.push((line, fault)),
        }
    }
    faults.sort();
    settings.sort_by_key(|setting| setting.line);
    if faults.is_empty() { Ok(settings) } else { Err(faults) }
}

/// The arguments that a key stands for.
fn arguments(
    command: &clap::Command,
    flag: &str,
    value: &DeValue<'_>,
) -> Result<Vec<String>, String> {
    let argument = flag_of(command, flag).ok_or_else(|| unknown(flag))?;
    let name = format!("--{flag}");
    let is_switch = matches!(argument.get_action(), ArgAction::SetTrue);
    let arguments = match (value, is_switch) {
        (DeValue::Boolean(true), true) => vec![name],
        (DeValue::Boolean(false), true) => Vec::new(),
        (_, true) => return Err(format!("`{flag}` is true or false")),
        (DeValue::Array(values), false) => {
            let values = values.iter().map(|value| scalar(flag, value.get_ref()));
            let values = values.collect::<Result<Vec<_>, _>>()?;
            match argument.get_action() {
                ArgAction::Append => {
                    values.into_iter().map(|value| format!("{name}={value}")).collect()
                }
                _ => vec![format!("{name}={}", values.join(","))],
            }
        }
        (value, false) => vec![format!("{name}={}", scalar(flag, value)?)],
    };
    let line = ["ringbook", "run"].into_iter().chain(arguments.iter().map(String::as_str));
    match command.clone().try_get_matches_from(line) {
        // Another key may be what is missing here: that is checked with all of them.
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => Err(one_line(&error)),
        _ => Ok(arguments),
    }
}

fn unknown(flag: &str) -> String {
    let name = format!("--{flag}");
    let found = Cli::command().try_get_matches_from(["ringbook", "run", &name]);
    let error = found.err();
    let suggested = error.as_ref().and_then(|error| error.get(ContextKind::SuggestedArg));
    let near = match suggested {
        Some(ContextValue::String(near)) => near.trim_start_matches("--"),
        _ => return format!("`{flag}` is no flag of run; `ringbook config --example` has all"),
    };
    format!("`{flag}` is no flag of run; there is `{near}`")
}

fn scalar(flag: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        DeValue::Float(number) => Ok(number.to_string()),
        DeValue::Boolean(_) => Err(format!("`{flag}` has a value, not true or false")),
        _ => Err(format!("`{flag}` is a text, a number or a list of them")),
    }
}

/// The message of a wrong argument on one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let lines: Vec<&str> = message.lines().map(str::trim).collect();
    lines.join(" ").trim_start_matches("error: ").to_owned()
}

/// A file with every key in comments: what it is, and its default or what is to be written.
#[must_use]
pub fn example() -> String {
    let mut text = String::from(
        "# Flags of `ringbook run` as TOML; a flag on the command line replaces its key. Remove the # of what is to \
         differ.\n",
    );
    for argument in keys(&built()) {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let key = argument.get_long().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(text, "\n# {}\n# {key} = {}\n", help.replace('\n', " "), sample(argument));
    }
    text
}

/// The default of a flag, or the name of its value, as TOML.
fn sample(argument: &Arg) -> String {
    if argument.get_num_args().is_some_and(|count| count == ValueRange::EMPTY) {
        return "true".to_owned();
    }
    let default = argument.get_default_values().first().map(|value| value.to_string_lossy());
    if let Some(default) = default {
        let is_number = default.parse::<f64>().is_ok();
        return if is_number { default.into_owned() } else { format!("\"{default}\"") };
    }
    let name = argument.get_value_names().and_then(|names| names.first());
    let name = name.map_or("VALUE", |name| name.as_str());
    match argument.get_action() {
        ArgAction::Append => format!("[\"{name}\"]"),
        _ => format!("\"{name}\""),
    }
}

#[cfg(test)]
mod tests;
