//! `numa-audit explain`.

use super::exit_code;
use super::names::rule_named;
use super::output::{print, terminal};
use super::trouble::Trouble;
use crate::cli::ExplainArgs;
use crate::print::explain;

pub(super) fn run(arguments: &ExplainArgs) -> Result<u8, Trouble> {
    let rule = rule_named(&arguments.rule)?;
    print(&explain::explain(&rule.text(), &terminal(&arguments.color)))?;
    Ok(exit_code::OK)
}
