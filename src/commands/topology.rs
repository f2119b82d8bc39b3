//! `numa-audit topology`.

use std::process::ExitCode;

use super::output::{print, terminal};
use super::settings::{expected, hints};
use super::{Trouble, exit_code, source};
use crate::audit::{Settings, map};
use crate::cli::TopologyArgs;
use crate::observe::{Subjects, observe};
use crate::print::{json, topology};

pub(crate) fn run(arguments: &TopologyArgs) -> Result<ExitCode, Trouble> {
    let expected = expected(arguments.expect.as_deref())?;
    let source = source::source(&arguments.machine)?;
    let machine = observe(source, &Subjects::MachineOnly).machine;
    let settings = Settings {
        hints: hints(&arguments.home_nodes, &machine)?,
        expected,
        ..Settings::default()
    };
    let has_unknown = !settings.hints.unknown_gpus.is_empty();
    let document = map(machine, &settings);
    print(&if arguments.output.json {
        json::text(&document)
    } else {
        topology::topology(&document, &terminal(&arguments.output.color))
    })?;
    Ok(ExitCode::from(exit_code::of_map(&document, has_unknown)))
}
