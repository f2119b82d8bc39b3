//! `numa-audit topology`.

use std::process::ExitCode;

use super::output::{print, terminal};
use super::settings::{expected, hints};
use super::{Trouble, exit_code, source};
use crate::audit::{Settings, audit};
use crate::cli::TopologyArgs;
use crate::document::outline::Expected;
use crate::observe::{Subjects, observe};
use crate::print::{json, topology};

pub fn run(arguments: &TopologyArgs) -> Result<ExitCode, Trouble> {
    let mut expected = expected(arguments.expect.as_deref())?;
    if let Some(Expected::Audit(outline)) = &mut expected {
        // A map has no processes to compare.
        outline.processes = None;
    }
    let source = source::source(&arguments.machine)?;
    let machine = observe(source, &Subjects::Nobody).machine;
    let settings = Settings {
        hints: hints(&arguments.home_nodes, &machine)?,
        expected,
        ..Settings::default()
    };
    let report = audit(machine, &settings);
    print(&if arguments.output.json {
        json::topology_only(&report)
    } else {
        topology::topology(&report, &terminal(&arguments.output.color))
    })?;
    Ok(ExitCode::from(exit_code::of_map(&report)))
}
