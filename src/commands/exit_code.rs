//! The exit code, from the report only.

use crate::audit::Report;
use crate::audit::finding::{Finding, Severity};
use crate::audit::place::verdict::Verdict;
use crate::audit::rules::not_as_expected;
use crate::cli::FailOn;
use crate::compare::Diff;
use crate::machine::gap::{Fact, Gap};

/// It could not run: a wrong argument, an unreadable file, output that cannot be written.
pub const COULD_NOT_RUN: u8 = 2;

/// 1 if a finding fails the audit; 3 if none does but not everything could be judged.
pub fn of_audit(report: &Report, fail_on: FailOn) -> u8 {
    let failed = report.findings.iter().any(|finding| match fail_on {
        FailOn::Mismatch => finding.severity == Severity::Error,
        // Warnings about the machine alone put no process at risk.
        FailOn::AtRisk => finding.severity <= Severity::Warning && !finding.pids.is_empty(),
        FailOn::Never => false,
    });
    code(failed, report.summary.is_complete)
}

/// 1 if the machine is not as expected; 3 if not all of it could be compared; 0 if nothing is expected.
pub fn of_map(report: &Report) -> u8 {
    let differs = |finding: &Finding| finding.rule == not_as_expected::RULE.name;
    let is_unknown = |gap: &Gap| matches!(gap.fact, Fact::Expected(_));
    let differs = report.findings.iter().any(differs);
    code(differs, !report.gaps.iter().any(is_unknown))
}

/// 1 if something got worse; 3 if nothing is known to have got worse but not everything could be compared.
pub fn of_diff(diff: &Diff, fail_on: FailOn) -> u8 {
    let process = diff.processes.iter().any(|change| match fail_on {
        FailOn::AtRisk => change.worsened_to.is_some(),
        FailOn::Mismatch => change.worsened_to == Some(Verdict::Mismatch),
        FailOn::Never => false,
    });
    let mut findings = diff.findings.iter().filter(|change| change.is_worse);
    let finding = findings.any(|change| match fail_on {
        FailOn::AtRisk => true,
        FailOn::Mismatch => change.severity == Some(Severity::Error),
        FailOn::Never => false,
    });
    code(process || finding, !diff.is_open)
}

fn code(failed: bool, is_complete: bool) -> u8 {
    match (failed, is_complete) {
        (true, _) => 1,
        (false, false) => 3,
        (false, true) => 0,
    }
}
