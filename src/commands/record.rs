//! `numa-audit record`.

use std::io::{self, Write};
use std::time::Duration;

use super::output::terminal_of;
use super::trouble::Trouble;
use super::{ask_nvml, exit_code, guard, source, streams_at_start};
use crate::audit::{Settings, audit};
use crate::cli::RecordArgs;
use crate::observe::own_process::deadly_signals;
use crate::observe::{Source, observe};
use crate::print::{gaps, harmless};
use crate::record::{self, Options};
use crate::units::seconds;

/// A recording has every page of memory.
const USUAL_DEADLINE: Duration = Duration::from_secs(5 * 60);

pub(super) fn run(arguments: &RecordArgs) -> Result<u8, Trouble> {
    record::ensure_new(&arguments.path)?;
    // A recording that is not finished is removed.
    guard::run(&deadly_signals(), || run_in_this_process(arguments))
}

fn run_in_this_process(arguments: &RecordArgs) -> Result<u8, Trouble> {
    let path = &arguments.path;
    let patience = source::patience()?;
    let deadline = arguments.deadline.unwrap_or(patience.times(USUAL_DEADLINE));
    let source = Source::live_tapped(arguments.nvml.nvml_lib.clone(), record::part_kept)
        .in_child(guard::is_child())
        .asking_through(ask_nvml::invocation())
        .with_patience(patience)
        .within(deadline);
    let observation = observe(source, &source::subjects(&arguments.pid));
    // What a recording lacks cannot be read later, and a part would be taken for the whole.
    if observation.is_late {
        let whole = seconds(deadline);
        return Err(
            format!("not all was read within {whole} (--deadline): nothing is recorded").into(),
        );
    }
    source::ensure_named_are_there(&observation.machine)?;
    let machine = observation.machine.clone();
    let options = Options {
        note: arguments.note.clone(),
        redact: arguments.redact,
    };
    record::record(observation, path, &options)?;
    let count = machine.processes.len();
    let word = if count == 1 { "process" } else { "processes" };
    let document = audit(machine, &Settings::default());
    let stderr = io::stderr();
    let lacks = gaps::gaps(
        &document,
        &terminal_of(streams_at_start::errors(), &arguments.color),
    );
    let path = harmless(&path.display().to_string());
    // The recording exists, even if this cannot be printed.
    let _ = write!(&stderr, "recorded {count} {word} to {path}\n{lacks}");
    Ok(exit_code::OK)
}
