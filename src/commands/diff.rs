//! `numa-audit diff`.

use std::path::Path;
use std::process::ExitCode;

use super::output::{print, terminal};
use super::settings::settings;
use super::trouble::Trouble;
use super::{exit_code, source};
use crate::audit::audit;
use crate::cli::DiffArgs;
use crate::document::Document;
use crate::observe::{Source, Subjects, is_recording, observe, read_audit};
use crate::print::{diff, diff_json};

pub(super) fn run(arguments: &DiffArgs) -> Result<ExitCode, Trouble> {
    let before = read(arguments, &arguments.before)?;
    let after = if let Some(path) = &arguments.after {
        read(arguments, path)?
    } else {
        let source = source::source(&arguments.machine)?;
        audited(arguments, source, &source::subjects(&arguments.pid))?
    };
    let diff = crate::compare::diff(&before, &after);
    print(&if arguments.output.json {
        diff_json::diff(&diff)
    } else {
        diff::diff(&diff, arguments.all, &terminal(&arguments.output.color))
    })?;
    let code = exit_code::of_diff(&diff, arguments.fail_on);
    Ok(ExitCode::from(code))
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
    Ok(audit(machine, &settings))
}
