//! Puts the result of --expect into the document.

use crate::audit::place::Verdict;
use crate::audit::rules;
use crate::compare::Comparison;
use crate::document::{Document, Finding};
use crate::words::Expectation;

/// Adds what differs as findings, and what is unknown as gaps.
pub(crate) fn add(
    comparison: Comparison,
    document: &mut Document,
    is_wanted: impl Fn(&Finding) -> bool,
) {
    let Comparison {
        unexpected,
        unknown,
    } = comparison;
    let expectation = match (unexpected.is_empty(), unknown.is_empty()) {
        (false, _) => Expectation::NotMet,
        (true, false) => Expectation::Unknown,
        (true, true) => Expectation::Met,
    };
    document.expectation = Some(expectation.into());
    if let Some(summary) = document.summary.as_mut().filter(|_| !unknown.is_empty()) {
        summary.complete = Some(false);
        let verdict = summary.verdict.known().max(Some(Verdict::Unknown));
        summary.verdict = verdict.unwrap_or(Verdict::Unknown).into();
    }
    document.incomplete.extend(unknown);
    let mut findings = rules::unexpected(&unexpected);
    findings.retain(is_wanted);
    for process in document.processes.iter_mut().flatten() {
        let own = findings.iter().filter(|of| of.pids.contains(&process.pid));
        let rules: Vec<String> = own.map(|finding| finding.rule.clone()).collect();
        process.findings.splice(0..0, rules);
    }
    // The rule is an error, and the first of the list of rules.
    document.findings.splice(0..0, findings);
}
