//! `numa-audit explain`.

use std::process::ExitCode;

use super::names::rule_named;
use super::output::{print, terminal};
use super::trouble::Trouble;
use crate::cli::ExplainArgs;
use crate::print::explain;

pub(super) fn run(arguments: &ExplainArgs) -> Result<ExitCode, Trouble> {
    let rule = rule_named(&arguments.rule)?;
    print(&explain::explain(&rule.text(), &terminal(&arguments.color)))?;
    Ok(ExitCode::SUCCESS)
}
