//! The exit code, from the document only.

use crate::cli::FailOn;
use crate::compare::Diff;
use crate::document::{Document, Finding, FleetSummary};
use crate::words::{Expectation, Severity, Verdict};

/// Nothing to report: no mismatch, or a command that only prints.
pub(crate) const OK: u8 = 0;

/// It could not run: a wrong argument, an unreadable file, output that cannot be written.
pub(crate) const COULD_NOT_RUN: u8 = 2;

/// A mismatch, or another error.
pub(crate) const FAILED: u8 = 1;

/// Nothing failed, but not everything could be judged.
pub(crate) const INCOMPLETE: u8 = 3;

/// 1 if a finding fails the audit; 3 if none does but not everything could be judged.
pub(crate) fn of_audit(document: &Document, fail_on: FailOn) -> u8 {
    let has_failed = fail_on != FailOn::Never && !failing(document, fail_on).is_empty();
    code(has_failed, !is_incomplete(document))
}

/// Whether something of an audit could not be judged, or of a map not be compared.
pub(crate) fn is_incomplete(document: &Document) -> bool {
    let expectation = document.expectation.as_ref();
    match &document.summary {
        Some(summary) => !summary.is_complete(),
        None if document.processes.is_some() => true,
        None => expectation.is_some_and(|word| *word == Expectation::Unknown),
    }
}

/// The findings that fail an audit. Where nothing is to fail it, those that would do so by default.
pub(crate) fn failing(document: &Document, fail_on: FailOn) -> Vec<&Finding> {
    let fails = |finding: &&Finding| match fail_on {
        FailOn::Mismatch | FailOn::Never => finding.severity == Severity::Error,
        // Warnings about the machine alone put no process at risk.
        FailOn::AtRisk => {
            let severity = finding.severity.known();
            let counts = severity.is_some_and(|severity| severity <= Severity::Warning);
            counts && !finding.pids.is_empty()
        }
    };
    document.findings.iter().filter(fails).collect()
}

/// 1 if the machine is not as expected; 3 if not all of it could be compared, or a GPU was named of which it is unknown whether
/// it exists; 0 if nothing is expected.
pub(crate) fn of_map(document: &Document, has_unknown: bool) -> u8 {
    let expectation = document.expectation.as_ref();
    let is = |wanted| expectation.is_some_and(|word| *word == wanted);
    code(
        is(Expectation::NotMet),
        !is(Expectation::Unknown) && !has_unknown,
    )
}

/// That of the audit or the map that was saved.
pub(crate) fn of_saved(document: &Document, fail_on: FailOn) -> u8 {
    if document.processes.is_some() {
        of_audit(document, fail_on)
    } else {
        of_map(document, false)
    }
}

/// Whether a process that got worse to this verdict, or a worse finding of this severity, counts.
pub(crate) fn counts_in_diff(
    fail_on: FailOn,
    verdict: Option<Verdict>,
    severity: Option<Severity>,
) -> bool {
    match fail_on {
        FailOn::AtRisk => true,
        FailOn::Mismatch => verdict == Some(Verdict::Mismatch) || severity == Some(Severity::Error),
        FailOn::Never => false,
    }
}

/// 1 if something got worse; 3 if nothing is known to have got worse but not everything could be compared.
pub(crate) fn of_diff(diff: &Diff, fail_on: FailOn) -> u8 {
    let counts = |verdict, severity| counts_in_diff(fail_on, verdict, severity);
    let mut processes = diff.processes.iter();
    let process = processes.any(|of| of.worsened_to.is_some() && counts(of.worsened_to, None));
    let mut findings = diff.findings.iter().filter(|change| change.is_worse);
    let finding = findings.any(|change| counts(None, change.severity));
    code(process || finding, !diff.is_open)
}

/// That of the worst machine; a machine that is missing and a document that cannot be read could not be judged.
pub(crate) fn of_fleet(summary: &FleetSummary) -> u8 {
    code(summary.failed > 0, summary.complete)
}

fn code(failed: bool, is_complete: bool) -> u8 {
    match (failed, is_complete) {
        (true, _) => FAILED,
        (false, false) => INCOMPLETE,
        (false, true) => OK,
    }
}
