//! stub
use super::Failure;
use crate::config::flags::DemoFlags;
use std::process::ExitCode;
/// stub
///
/// # Errors
/// stub
pub fn run(_flags: &DemoFlags) -> Result<ExitCode, Failure> {
    Ok(ExitCode::SUCCESS)
}
