//! `numa-audit` and `numa-audit audit`.

use signal_hook::consts::SIGINT;

use super::missing_job::JobsHere;
use super::output::{print, print_by, quiet_line, terminal};
use super::settings::{expected, limits, settings};
use super::trouble::Trouble;
use super::{exit_code, export, guard, source};
use crate::audit::audit;
use crate::cli::AuditArgs;
use crate::document::Expected;
use crate::observe::{observe, own_process, watch};
use crate::print::{csv, json, remedies, table};

pub(super) fn run(arguments: &AuditArgs) -> Result<u8, Trouble> {
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
    // The first Ctrl-C ends the window, and the audit goes on.
    let mut interrupt = own_process::deadly_signals();
    interrupt.retain(|signal| *signal == SIGINT && arguments.window.is_some());
    guard::run(&interrupt, || run_in_this_process(arguments, expected))
}

fn run_in_this_process(arguments: &AuditArgs, expected: Option<Expected>) -> Result<u8, Trouble> {
    let source = source::source(&arguments.machine)?
        .reading_memory(arguments.memory.reading())
        // No other form shows them.
        .reading_thread_policies(arguments.output.json)
        .judged_by(limits(&arguments.judgement));
    let subjects = source::subjects(&arguments.pid);
    let window = match arguments.window {
        Some(length) => watch(&source, &subjects, length)?,
        None => None,
    };
    let mut machine = observe(source, &subjects).machine;
    machine.window = window;
    source::ensure_named_are_there(&machine)?;
    let mut settings = settings(&arguments.judgement, &arguments.home_nodes, &machine)?;
    settings.expected = expected;
    let jobs = JobsHere::of(&machine);
    let document = audit(machine, &settings);
    jobs.note_missing(settings.scope.job.as_ref(), &document);
    if export::export(&document, &arguments.export)? {
        // Nothing else is printed.
    } else if arguments.quiet {
        print(&quiet_line(&document, arguments.exit.fail_on))?;
    } else if arguments.output.json {
        print_by(|out| json::write(&document, out))?;
    } else if arguments.csv {
        print_by(|out| csv::processes(&document, out))?;
    } else if arguments.remedies {
        print(&remedies::remedies(&document))?;
    } else {
        let terminal = terminal(&arguments.output.color);
        print(&table::report(&document, arguments.all, &terminal))?;
    }
    let code = exit_code::of_audit(&document, arguments.exit.fail_on);
    Ok(code)
}
