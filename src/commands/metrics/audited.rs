//! One audit, printed as metrics.

use std::time::Instant;

use crate::audit::{audit, rules};
use crate::cli::{MetricsArgs, MetricsBy};
use crate::commands::output::print as write;
use crate::commands::settings::{expected, limits, settings};
use crate::commands::trouble::Trouble;
use crate::commands::{exit_code, guard, source};
use crate::document::Expected;
use crate::observe::{Subjects, observe, watch};
use crate::print::metrics::{MetricsContext, metrics};

/// Audits and prints. The exit code is 0 whatever the verdicts are: they are in the metrics.
pub(super) fn print(arguments: &MetricsArgs) -> Result<u8, Trouble> {
    let expected = expected(arguments.expect.as_deref())?;
    if arguments.machine.snapshot.is_some() {
        return print_in_this_process(arguments, expected);
    }
    guard::run(&[], || print_in_this_process(arguments, expected))
}

fn print_in_this_process(
    arguments: &MetricsArgs,
    expected: Option<Expected>,
) -> Result<u8, Trouble> {
    let start = Instant::now();
    let source = source::source(&arguments.machine)?
        .reading_memory(arguments.memory.reading())
        .reading_thread_policies(false)
        .judged_by(limits(&arguments.judgement));
    let subjects = Subjects::GpuUsers;
    let window = match arguments.window {
        Some(length) => watch(&source, &subjects, length)?,
        None => None,
    };
    let mut machine = observe(source, &subjects).machine;
    machine.window = window;
    let mut settings = settings(&arguments.judgement, &arguments.home_nodes, &machine)?;
    settings.expected = expected;
    let document = audit(machine, &settings);
    let is_live = arguments.machine.snapshot.is_none();
    let context = MetricsContext {
        rules: &rules::texts(),
        // Two audits of one recording give the same bytes.
        duration: is_live.then(|| start.elapsed()),
        by_job: arguments.by == Some(MetricsBy::Job),
    };
    write(&metrics(&document, &context))?;
    Ok(exit_code::OK)
}
