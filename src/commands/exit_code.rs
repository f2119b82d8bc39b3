//! What an outcome is as an exit code.

use crate::audit::Report;
use crate::audit::finding::{Finding, Severity};
use crate::audit::place::verdict::Verdict;
use crate::cli::FailOn;
use crate::compare::Diff;
use crate::machine::gap::{Fact, Gap};

/// 1 for what was found wrong; 3 where nothing is, and not everything could be judged.
pub fn of_audit(report: &Report, fail_on: FailOn) -> u8 {
    let summary = &report.summary;
    let failed = report.findings.iter().any(|finding| match fail_on {
        FailOn::Mismatch => finding.severity == Severity::Error,
        // Warnings about the machine alone put no process at risk.
        FailOn::AtRisk => finding.severity <= Severity::Warning && !finding.pids.is_empty(),
        FailOn::Never => false,
    });
    match (failed, summary.is_complete) {
        (true, _) => 1,
        (false, false) => 3,
        (false, true) => 0,
    }
}

/// 1 where the machine is not as expected; 3 where that is not known of all of it.
pub fn of_map(report: &Report) -> u8 {
    let is_other = |finding: &Finding| finding.rule == "not-as-expected";
    let is_unknown = |gap: &Gap| matches!(gap.fact, Fact::Expected(_));
    match (
        report.findings.iter().any(is_other),
        report.gaps.iter().any(is_unknown),
    ) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }
}

/// 1 for what got worse; 3 where nothing was seen to, and something could have.
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
    match (process || finding, diff.is_open) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 0,
    }
}
