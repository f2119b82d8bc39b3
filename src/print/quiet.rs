//! The outcome in one line, for logs, health checks and the reason of a drained node. Nothing where all is well.
//!
//! The line has no letter that acts on a terminal, and no text of a process: roles and PIDs name processes.

use std::collections::BTreeSet;

use crate::compare::{Change, Diff, ProcessChange};
use crate::document::names::{gpu_names, node_names, process_names};
use crate::document::{Document, Finding, GapEntry, ProcessEntry};
use crate::print::{gaps, harmless, verdict};
use crate::units::{NodeSet, Pid};
use crate::words::{Severity, Verdict};

/// More letters than this of one text are cut.
const LONGEST: usize = 160;

/// `numa-audit: mismatch: GPU 0: trainer 254 and 4 workers on node 1 (cpu-remote, and 2 more findings)`. `failing`: the findings
/// that count, the worst first. `None` where there is none and all could be judged.
pub(crate) fn audit(
    document: &Document,
    failing: &[&Finding],
    is_complete: bool,
) -> Option<String> {
    match failing {
        [] if is_complete => None,
        [] => Some(incomplete(document)),
        [worst, others @ ..] => {
            let found = finding(worst, document);
            let rule = cut(&harmless(&worst.rule));
            let more = more(others.len(), "finding", "findings");
            Some(line(
                word(worst, document),
                &format!("{found} ({rule}{more})"),
            ))
        }
    }
}

/// `numa-audit: worse: trainer 254 became MISMATCH (and 1 more)`. `None` where nothing got worse and all could be compared.
/// `counts`: whether a worse verdict, or a finding of this severity, counts.
pub(crate) fn diff(
    diff: &Diff,
    counts: impl Fn(Option<Verdict>, Option<Severity>) -> bool,
) -> Option<String> {
    let processes = diff.processes.iter();
    let processes: Vec<&ProcessChange> = processes
        .filter(|change| change.worsened_to.is_some() && counts(change.worsened_to, None))
        .collect();
    let findings = diff.findings.iter().filter(|change| change.is_worse);
    let findings: Vec<&Finding> = findings
        .filter(|change| counts(None, change.severity))
        .map(|change| change.finding)
        .collect();
    let others = (processes.len() + findings.len()).saturating_sub(1);
    let more = more(others, "change", "changes");
    if let Some(now) = processes.first().and_then(|worst| worst.after) {
        let is_new = processes[0].change == Change::New;
        let became = if is_new { "is new and" } else { "is now" };
        let verdict = verdict(now.verdict.as_ref());
        let text = format!("{} {became} {verdict}", named(std::iter::once(now)));
        Some(line("worse", &in_parentheses(&text, &more)))
    } else if let Some(worst) = findings.first() {
        let found = finding(worst, diff.after);
        let rule = cut(&harmless(&worst.rule));
        Some(line("worse", &format!("{found} ({rule}{more})")))
    } else if diff.is_open {
        let text = "not everything could be judged, or a judged process is gone";
        Some(line("incomplete", text))
    } else {
        None
    }
}

fn line(word: &str, text: &str) -> String {
    format!("numa-audit: {word}: {text}\n")
}

/// How bad a finding is.
fn word(finding: &Finding, document: &Document) -> &'static str {
    let is_mismatch = |of: &ProcessEntry| {
        let verdict = of.verdict.as_ref().and_then(|word| word.known());
        verdict == Some(Verdict::Mismatch)
    };
    let is_error = finding.severity == Severity::Error;
    match processes(finding, document).into_iter().any(is_mismatch) {
        true if is_error => "mismatch",
        _ if is_error => "error",
        _ => "at-risk",
    }
}

/// `GPU 0: trainer 254 and 4 workers on node 1`
fn finding(finding: &Finding, document: &Document) -> String {
    let mut text = match finding.gpus.as_slice() {
        [] => String::new(),
        gpus => format!("{}: ", cut(&gpu_names(gpus))),
    };
    let who = named(processes(finding, document).into_iter());
    if who.is_empty() {
        // What a file expects may be about the machine alone.
        text += &cut(&harmless(&finding.message));
        return text;
    }
    text += &who;
    let nodes = |name: &str| {
        let value = finding.evidence.get(name)?.clone();
        let nodes: NodeSet = serde_json::from_value(value).ok()?;
        (!nodes.is_empty()).then(|| cut(&node_names(&nodes)))
    };
    if let Some(nodes) = nodes("memory_nodes") {
        let verb = if finding.pids.len() == 1 {
            "has"
        } else {
            "have"
        };
        text += &format!(" {verb} memory on {nodes}");
    } else if let Some(nodes) = nodes("cpu_nodes") {
        text += &format!(" on {nodes}");
    }
    text
}

fn processes<'a>(finding: &Finding, document: &'a Document) -> Vec<&'a ProcessEntry> {
    let pids: BTreeSet<Pid> = finding.pids.iter().copied().collect();
    let all = document.processes().iter();
    all.filter(|process| pids.contains(&process.pid)).collect()
}

/// `trainer 254 and 4 workers`; empty for none.
fn named<'a>(processes: impl Iterator<Item = &'a ProcessEntry> + Clone) -> String {
    process_names(processes.map(|process| (process.known_role(), process.pid)))
}

/// What could not be judged: what alone leaves the audit open, or what is missing of processes without a verdict.
fn incomplete(document: &Document) -> String {
    let unknown = document.processes().iter().filter(|of| {
        let verdict = of.verdict.as_ref();
        verdict.is_some_and(|word| *word == Verdict::Unknown)
    });
    let unknown: BTreeSet<Pid> = unknown.map(|process| process.pid).collect();
    let is_of_unknown = |gap: &&GapEntry| gap.pid.is_some_and(|pid| unknown.contains(&pid));
    let all = || document.incomplete.iter();
    let found = gaps::in_short(all().filter(|gap| gap.leaves_open))
        .or_else(|| gaps::in_short(all().filter(is_of_unknown)))
        .or_else(|| gaps::in_short(all()));
    let text = match found {
        Some((text, others)) => in_parentheses(&cut(&text), &more(others, "gap", "gaps")),
        None => "not everything could be judged".to_owned(),
    };
    line("incomplete", &text)
}

/// `, and 2 more findings`, or nothing.
fn more(count: usize, one: &str, several: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!(", and 1 more {one}"),
        count => format!(", and {count} more {several}"),
    }
}

/// `text (and 1 more gap)`, or the text alone.
fn in_parentheses(text: &str, more: &str) -> String {
    match more.strip_prefix(", ") {
        Some(more) => format!("{text} ({more})"),
        None => text.to_owned(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
