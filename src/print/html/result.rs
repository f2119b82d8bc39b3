//! The sentence on top: what an audit found.

use maud::{Markup, html};

use crate::document::Document;
use crate::print::html::mark::{Mood, mark};
use crate::print::{harmless, picture};
use crate::words::{Expectation, Severity, Verdict};

/// The sentence with its symbol.
pub(super) fn result(mood: Mood, sentence: &str) -> Markup {
    html! {
        p class={ "result " (mood.class()) } {
            span class="symbol" aria-hidden="true" { (mood.symbol()) } " " (sentence)
        }
    }
}

/// What an audit found, or what a map is of: the picture's sentence. An error that no verdict shows comes first.
pub(super) fn sentence(document: &Document) -> String {
    let worst = document.findings.first();
    let error = worst.filter(|of| of.severity == Severity::Error);
    let mismatch = document.summary.as_ref().map(|of| of.mismatch);
    let is_open = mood(document) == Mood::Open;
    match (error, mismatch) {
        (Some(error), None | Some(0)) => harmless(&error.message),
        // What was judged is well: that is not the result.
        _ if is_open && document.summary.as_ref().is_some_and(|of| of.unknown == 0) => {
            "Nothing is seen to be wrong, but not everything could be judged".to_owned()
        }
        _ => harmless(&picture::sentence(document)),
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
