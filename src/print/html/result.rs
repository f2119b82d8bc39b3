//! The sentence on top: what an audit found.

use maud::{Markup, html};

use crate::document::Document;
use crate::print::harmless;
use crate::print::html::mark::{Mood, mark};
use crate::words::{Expectation, Severity, Verdict};

/// The sentence with its symbol.
pub(super) fn result(mood: Mood, sentence: &str) -> Markup {
    html! {
        p class={ "result " (mood.class()) } {
            span class="symbol" aria-hidden="true" { (mood.symbol()) } " " (sentence)
        }
    }
}

/// What an audit found, or what a map is of.
pub(super) fn sentence(document: &Document) -> String {
    let topology = &document.topology;
    let Some(summary) = &document.summary else {
        let count = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            several => format!("{several} {word}s"),
        };
        let nodes = count(topology.nodes.len(), "NUMA node");
        return format!("{nodes}, {}", count(topology.gpus.len(), "GPU"));
    };
    let all = summary.processes;
    let of_all = |count: usize, one: &str, several: &str| match (count, all) {
        (1, 1) => format!("The process {one}"),
        (1, all) => format!("1 of {all} processes {one}"),
        (count, all) => format!("{count} of {all} processes {several}"),
    };
    let worst = document.findings.first();
    let has_error = worst.is_some_and(|of| of.severity == Severity::Error);
    match (summary.mismatch, summary.at_risk, all) {
        (0, _, _) if has_error => worst.map_or_else(String::new, |of| harmless(&of.message)),
        (0, 0, _) if !summary.is_complete() => "Not everything could be judged".to_owned(),
        (0, 0, 0) => "No process to judge".to_owned(),
        (0, 0, 1) => "The process is where its GPU is".to_owned(),
        (0, 0, all) => format!("All {all} processes are where their GPUs are"),
        (0, risk, _) => of_all(risk, "is at risk", "are at risk"),
        (wrong, ..) => of_all(
            wrong,
            "is not on the NUMA node of its GPU",
            "are not on the NUMA node of their GPU",
        ),
    }
}

/// How bad an audit or a map is.
pub(super) fn mood(document: &Document) -> Mood {
    let has_error = document.findings.iter().any(|finding| {
        let severity = finding.severity.known();
        Mood::of_severity(severity) == Mood::Bad
    });
    let Some(summary) = &document.summary else {
        return match (has_error, &document.expectation) {
            (true, _) => Mood::Bad,
            (false, Some(word)) if *word == Expectation::Unknown => Mood::Open,
            (false, Some(word)) if *word == Expectation::Met => Mood::Good,
            _ => Mood::Plain,
        };
    };
    match summary.verdict.known() {
        _ if has_error => Mood::Bad,
        Some(Verdict::Mismatch) => Mood::Bad,
        Some(Verdict::AtRisk) => Mood::Risk,
        _ if !summary.is_complete() => Mood::Open,
        Some(Verdict::Ok | Verdict::SingleNode) => Mood::Good,
        Some(Verdict::Unknown) | None => Mood::Open,
    }
}

/// The result of the comparison with what is expected; `None` without one.
pub(super) fn expectation(document: &Document) -> Option<Markup> {
    let word = document.expectation.as_ref()?;
    let (mood, text) = match word.known() {
        Some(Expectation::Met) => (Mood::Good, "The machine is as expected"),
        Some(Expectation::NotMet) => (Mood::Bad, "The machine is not as expected"),
        Some(Expectation::Unknown) | None => {
            (Mood::Open, "Something that is expected is unknown here")
        }
    };
    Some(html! { p class="tally" { (mark(mood, text)) } })
}
