//! `numa-audit rules`.

use std::process::ExitCode;

use super::Trouble;
use super::output::{print, terminal};
use crate::audit::rules;
use crate::cli::OutputArgs;
use crate::print::{explain, json};

pub(crate) fn run(arguments: &OutputArgs) -> Result<ExitCode, Trouble> {
    let rules = rules::texts();
    print(&if arguments.json {
        json::text(&rules)
    } else {
        explain::rules(&rules, &terminal(&arguments.color))
    })?;
    Ok(ExitCode::SUCCESS)
}
