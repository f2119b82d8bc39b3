//! The words on top: the result in a sentence, which machine and when, what is missing, and what else was found.

use crate::document::{Document, ProcessEntry, Summary};
use crate::print::head;
use crate::print::picture::diagram::{Line, place};
use crate::print::picture::look::Look;
use crate::print::picture::text::shown;
use crate::words::{Severity, Verdict, Word};

/// Findings that the picture itself shows.
const DRAWN: &[&str] = &[
    "cpu-remote",
    "cpu-near",
    "cpu-unbound",
    "memory-remote",
    "memory-near",
    "pinned-remote",
    "gpus-on-several-nodes",
    "gpu-node-unknown",
];

/// The sentence of the result. `None` where nothing is known at all.
pub(in crate::print::picture) fn result(document: &Document) -> Option<(Look, String)> {
    let Some(summary) = &document.summary else {
        return Some((Look::Plain, of_map(document)));
    };
    let all = summary.processes;
    let of = |count: usize| match (count, all) {
        (1, 1) => "The only process is".to_owned(),
        (count, all) if count == all => format!("All {all} processes are"),
        (1, all) => format!("1 of {all} processes is"),
        (count, all) => format!("{count} of {all} processes are"),
    };
    let judged = document.processes();
    Some(match summary.verdict.known() {
        _ if summary.mismatch > 0 => (
            Look::Wrong,
            format!("{} {}", of(summary.mismatch), wrong(judged)),
        ),
        _ if summary.at_risk > 0 => (
            Look::AtRisk,
            format!("{} {}", of(summary.at_risk), at_risk(judged)),
        ),
        _ if summary.unknown > 0 => (Look::Unknown, unknown(summary)),
        Some(Verdict::Unknown) if all == 0 => {
            (Look::Unknown, "No process could be judged".to_owned())
        }
        _ if all == 0 => (Look::Plain, "No process uses a GPU".to_owned()),
        Some(Verdict::SingleNode) => (
            Look::Single,
            "One node with CPUs: placement cannot be wrong".to_owned(),
        ),
        _ => (
            Look::Fine,
            format!("{} on the NUMA node of {} GPU", of(all), their(all)),
        ),
    })
}

fn their(count: usize) -> &'static str {
    if count == 1 { "its" } else { "their" }
}

fn of_map(document: &Document) -> String {
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        several => format!("{several} {one}s"),
    };
    let topology = &document.topology;
    match topology.nodes.len() {
        0 => "No NUMA nodes visible".to_owned(),
        nodes => format!(
            "{}, {}",
            counted(nodes, "NUMA node"),
            counted(topology.gpus.len(), "GPU")
        ),
    }
}

/// What is wrong with the mismatched: their CPUs, their memory or both.
fn wrong(processes: &[ProcessEntry]) -> String {
    let is = |verdict: &Option<Word<Verdict>>| {
        verdict.as_ref().is_some_and(|of| *of == Verdict::Mismatch)
    };
    let wrong = || processes.iter().filter(|of| is(&of.verdict));
    let their = their(wrong().count());
    let only_memory = wrong().filter(|of| !is(&of.cpu.verdict)).count();
    match only_memory {
        0 => format!("on another NUMA node than {their} GPU"),
        count if count == wrong().count() => {
            format!("local to {their} GPU, but with memory on another NUMA node")
        }
        _ => format!("on another NUMA node than {their} GPU, with CPUs or memory"),
    }
}

fn at_risk(processes: &[ProcessEntry]) -> &'static str {
    let at_risk = processes
        .iter()
        .filter(|of| of.verdict.as_ref().is_some_and(|of| *of == Verdict::AtRisk));
    let is_loose = |of: &ProcessEntry| {
        let is_home = place::node_of(of).is_some_and(|node| of.local_nodes.contains(&node));
        is_home && of.cpu.bound == Some(false)
    };
    match at_risk.clone().count() > 0 && at_risk.clone().all(is_loose) {
        true => "local to their GPU now, but not bound there",
        false => "at risk",
    }
}

fn unknown(summary: &Summary) -> String {
    let all = summary.processes;
    match (summary.unknown, all) {
        (1, 1) => "The only process could not be judged".to_owned(),
        (unknown, all) if unknown == all => format!("None of {all} processes could be judged"),
        (unknown, all) => format!("{unknown} of {all} processes could not be judged"),
    }
}

/// The smaller lines.
pub(super) fn lines(document: &Document) -> Vec<Line> {
    let mut lines = vec![Line {
        look: Look::Plain,
        text: shown(&head(&document.host), 300),
    }];
    lines.extend(counts(document));
    lines.extend(missing(document));
    lines.extend(also_found(document));
    lines
}

/// The other verdicts, where there is more than one.
fn counts(document: &Document) -> Option<Line> {
    let summary = document.summary.as_ref()?;
    let counts = [
        (summary.mismatch, "remote"),
        (summary.at_risk, "at risk"),
        (summary.unknown, "not judged"),
        (summary.ok, "ok"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    (counts.len() > 1).then(|| Line {
        look: Look::Plain,
        text: counts.join(", "),
    })
}

fn missing(document: &Document) -> Option<Line> {
    let is_whole = document
        .summary
        .as_ref()
        .map_or(document.incomplete.is_empty(), Summary::is_complete);
    if is_whole {
        return None;
    }
    let gaps = &document.incomplete;
    let first = gaps.iter().find(|gap| gap.leaves_open).or(gaps.first());
    let example = first.map_or(String::new(), |gap| {
        let of = gap
            .pid
            .map_or(String::new(), |pid| format!(" of process {pid}"));
        format!(
            ": {}{of} ({})",
            shown(&gap.what, 60),
            shown(&gap.reason, 120)
        )
    });
    let more = match gaps.len() {
        0 | 1 => String::new(),
        count => format!(", and {} facts more", count - 1),
    };
    Some(Line {
        look: Look::Unknown,
        text: format!("Not everything could be seen{example}{more}"),
    })
}

fn also_found(document: &Document) -> Option<Line> {
    const MOST: usize = 6;
    let mut rules: Vec<(&str, Option<Severity>)> = Vec::new();
    for finding in &document.findings {
        let severity = finding.severity.known();
        let is_news = severity.is_none_or(|of| of < Severity::Info)
            && !DRAWN.contains(&finding.rule.as_str());
        if is_news && rules.iter().all(|(rule, _)| *rule != finding.rule) {
            rules.push((&finding.rule, severity));
        }
    }
    let names: Vec<String> = rules
        .iter()
        .take(MOST)
        .map(|(rule, _)| shown(rule, 60))
        .collect();
    let more = match rules.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let is_error = rules
        .iter()
        .any(|(_, severity)| *severity == Some(Severity::Error));
    (!rules.is_empty()).then(|| Line {
        look: if is_error { Look::Wrong } else { Look::AtRisk },
        text: format!("Also found: {}{more}", names.join(", ")),
    })
}
