//! `numa-audit diff`.

use std::io::Write;
use std::path::Path;

use super::missing_job::JobsHere;
use super::output::{print, terminal};
use super::settings::settings;
use super::trouble::Trouble;
use super::{exit_code, export, guard, source};
use crate::audit::{audit, rules};
use crate::cli::{DiffArgs, FailOn};
use crate::document::Document;
use crate::observe::{Source, Subjects, is_recording, observe, read_audit};
use crate::print::{diff, diff_json, html, quiet};

pub(super) fn run(arguments: &DiffArgs) -> Result<u8, Trouble> {
    let inputs = [
        Some(arguments.before.as_path()),
        arguments.after.as_deref(),
        arguments.machine.snapshot.as_deref(),
        arguments.home_nodes.topology.as_deref(),
    ];
    export::ensure_page_possible(&arguments.page, &inputs)?;
    let before = read(arguments, &arguments.before)?;
    if let Some(path) = &arguments.after {
        return compared(arguments, &before, &read(arguments, path)?);
    }
    let now = || {
        let source = source::source(&arguments.machine)?;
        let after = audited(arguments, source, &source::subjects(&arguments.pid))?;
        compared(arguments, &before, &after)
    };
    if arguments.machine.snapshot.is_some() {
        now()
    } else {
        guard::run(&[], now)
    }
}

fn compared(arguments: &DiffArgs, before: &Document, after: &Document) -> Result<u8, Trouble> {
    let diff = crate::compare::diff(before, after);
    let code = exit_code::of_diff(&diff, arguments.fail_on);
    let page = |out: &mut dyn Write| {
        let text = html::diff(&diff, &rules::texts());
        out.write_all(text.as_bytes())
    };
    if export::page(&arguments.page, page)? {
        // Nothing else is printed.
        return Ok(code);
    }
    print(&if arguments.quiet {
        // Where nothing is to fail it, what would do so by default.
        let fail_on = match arguments.fail_on {
            FailOn::Never => FailOn::AtRisk,
            given => given,
        };
        let counts = |verdict, severity| exit_code::counts_in_diff(fail_on, verdict, severity);
        quiet::diff(&diff, counts).unwrap_or_default()
    } else if arguments.output.json {
        diff_json::diff(&diff)
    } else {
        diff::diff(&diff, arguments.all, &terminal(&arguments.output.color))
    })?;
    Ok(code)
}

/// A saved audit, or the audit of a recording.
fn read(arguments: &DiffArgs, path: &Path) -> Result<Document, Trouble> {
    if is_recording(path) {
        audited(arguments, Source::snapshot(path)?, &Subjects::GpuUsers)
    } else {
        Ok(read_audit(path)?)
    }
}

fn audited(arguments: &DiffArgs, source: Source, subjects: &Subjects) -> Result<Document, Trouble> {
    let machine = observe(source, subjects).machine;
    source::ensure_named_are_there(&machine)?;
    let settings = settings(&arguments.judgement, &arguments.home_nodes, &machine)?;
    let jobs = JobsHere::of(&machine);
    let document = audit(machine, &settings);
    jobs.note_missing(settings.scope.job.as_ref(), &document);
    Ok(document)
}
