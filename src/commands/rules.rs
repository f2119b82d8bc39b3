//! `numa-audit rules`.

use super::output::{print, terminal};
use super::{Trouble, exit_code};
use crate::audit::rules;
use crate::cli::OutputArgs;
use crate::print::{explain, json};

pub(crate) fn run(arguments: &OutputArgs) -> Result<u8, Trouble> {
    let rules = rules::texts();
    print(&if arguments.json {
        json::text(&rules)
    } else {
        explain::rules(&rules, &terminal(&arguments.color))
    })?;
    Ok(exit_code::OK)
}
