//! `numa-audit show`.

use std::process::ExitCode;

use super::output::{print, print_by, terminal};
use super::{Trouble, exit_code};
use crate::cli::ShowArgs;
use crate::observe::read_audit;
use crate::print::{csv, json, table, topology};

pub(crate) fn run(arguments: &ShowArgs) -> Result<ExitCode, Trouble> {
    let document = read_audit(&arguments.file)?;
    let terminal = terminal(&arguments.output.color);
    if arguments.output.json {
        print_by(|out| json::write(&document, out))?;
    } else if arguments.csv {
        print_by(|out| csv::processes(&document, out))?;
    } else if document.processes.is_some() {
        print(&table::report(&document, arguments.all, &terminal))?;
    } else {
        print(&topology::topology(&document, &terminal))?;
    }
    Ok(ExitCode::from(exit_code::of_saved(
        &document,
        arguments.fail_on,
    )))
}
