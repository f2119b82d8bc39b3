//! `numa-audit topology`.

use super::output::{box_style, print, quiet_line, terminal};
use super::settings::{expected, hints};
use super::{Trouble, exit_code, export, guard, source};
use crate::audit::{Settings, map};
use crate::cli::{FailOn, TopologyArgs};
use crate::document::Expected;
use crate::observe::{Subjects, observe};
use crate::print::{gres, json, topology};

pub(crate) fn run(arguments: &TopologyArgs) -> Result<u8, Trouble> {
    let inputs = [
        arguments.machine.snapshot.as_deref(),
        arguments.expect.as_deref(),
        arguments.home_nodes.topology.as_deref(),
    ];
    export::ensure_possible(&arguments.export, &inputs)?;
    let expected = expected(arguments.expect.as_deref())?;
    if arguments.machine.snapshot.is_some() {
        return run_in_this_process(arguments, expected);
    }
    guard::run(&[], || run_in_this_process(arguments, expected))
}

fn run_in_this_process(
    arguments: &TopologyArgs,
    expected: Option<Expected>,
) -> Result<u8, Trouble> {
    let source = source::source(&arguments.machine)?;
    let machine = observe(source, &Subjects::MachineOnly).machine;
    let settings = Settings {
        hints: hints(&arguments.home_nodes, &machine)?,
        expected,
        ..Settings::default()
    };
    let has_unknown = !settings.hints.unknown_gpus.is_empty();
    let document = map(machine, &settings);
    if !export::export(&document, &arguments.export)? {
        print(&if arguments.quiet {
            quiet_line(&document, FailOn::Mismatch)
        } else if let Some(nodes) = &arguments.gres {
            gres::gres(&document, nodes)
        } else if arguments.output.json {
            json::text(&document)
        } else {
            let style = box_style(arguments.map.ascii);
            topology::topology(&document, style, &terminal(&arguments.output.color))
        })?;
    }
    Ok(exit_code::of_map(&document, has_unknown))
}
