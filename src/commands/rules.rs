//! `numa-audit rules`.

use std::process::ExitCode;

use super::Trouble;
use super::output::{print, terminal};
use crate::cli::OutputArgs;
use crate::print::{explain, json};

pub fn run(arguments: &OutputArgs) -> Result<ExitCode, Trouble> {
    print(&if arguments.json {
        json::rules()
    } else {
        explain::rules(&terminal(&arguments.color))
    })?;
    Ok(ExitCode::SUCCESS)
}
