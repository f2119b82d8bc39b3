//! The page of a diff: before and after side by side, what moved, and what that changed.

mod changes;
mod moves;

use maud::{Markup, html};

use crate::compare::{Diff, FindingChange, FindingState};
use crate::document::Document;
use crate::document::rule::RuleText;
use crate::print::diff::{Outcome, machine_cells, outcome_text, sum_text};
use crate::print::html::audit::{figure, name};
use crate::print::html::findings::{Place, one};
use crate::print::html::mark::Mood;
use crate::print::html::page::{Page, footer};
use crate::print::html::result::result;
use crate::print::html::scroll::table;
use crate::print::picture::Heading;
use crate::words::Severity;

/// The page as the text of a file. `rules`: what the program says of each rule.
pub(crate) fn diff(diff: &Diff, rules: &[RuleText]) -> String {
    let (outcome, counts) = outcome_text(diff);
    let (before, after) = (name(diff.before), name(diff.after));
    let title = match before == after {
        true => format!("{after}, before and after"),
        false => format!("{before} and {after}"),
    };
    let parts = [
        ("moves", "Moves", Some(moves::moves(diff))),
        ("findings", "Findings", findings(diff, rules)),
        ("machine", "Machine", machine(diff)),
        ("processes", "Processes", changes::changes(diff)),
    ];
    let parts = parts.into_iter();
    let parts: Vec<_> = parts
        .filter_map(|(id, word, part)| Some((id, word, part?)))
        .collect();
    let sections = parts.iter().map(|(id, word, _)| (*id, (*word).to_owned()));
    let mood = match outcome {
        Outcome::Worse(_) => Mood::Bad,
        Outcome::Open => Mood::Open,
        Outcome::NoWorse => Mood::Good,
    };
    let page = Page {
        title: format!("{title}: {outcome}"),
        header: html! {
            h1 { (title) }
            (result(mood, &outcome.to_string()))
            @for sentence in counts.split(". ").filter(|text| !text.is_empty()) { p { (sentence) } }
        },
        sections: sections.collect(),
        main: html! {
            div class="pair" {
                (side(diff.before, "before", "Before"))
                (side(diff.after, "after", "After"))
            }
            @for (_, _, part) in &parts { (part) }
        },
        footer: footer("from two audits"),
    };
    page.text()
}

fn side(document: &Document, id: &str, word: &str) -> Markup {
    html! {
        div {
            (figure(document, id, word, Heading::Drawn))
            p class="where" { (sum_text(document.summary.as_ref())) }
        }
    }
}

fn machine(diff: &Diff) -> Option<Markup> {
    let rows: Vec<Vec<String>> = machine_cells(diff).into_iter().map(Vec::from).collect();
    let header = ["WHAT", "BEFORE", "AFTER"].map(str::to_owned);
    (!rows.is_empty()).then(|| {
        html! {
            section id="machine" aria-labelledby="machine-heading" {
                h2 id="machine-heading" { "Changes of the machine" }
                (table("What differs in the machine", &header, &rows))
            }
        }
    })
}

/// What is new or worse first, then what is gone, then what remains.
fn findings(diff: &Diff, rules: &[RuleText]) -> Option<Markup> {
    if diff.findings.is_empty() {
        return None;
    }
    let place = Place::alone(rules, false);
    Some(html! {
        section id="findings" aria-labelledby="findings-heading" {
            h2 id="findings-heading" { "Findings" }
            @for (change, number) in diff.findings.iter().zip(0_usize..) {
                (one(change.finding, number, place, Some(state(change))))
            }
        }
    })
}

/// The word for what changed, and its colour.
fn state(change: &FindingChange) -> (Mood, &'static str) {
    match (change.state, change.severity) {
        (FindingState::New, Some(Severity::Error)) => (Mood::Bad, "new"),
        (FindingState::New, Some(Severity::Warning)) => (Mood::Risk, "new"),
        (FindingState::New, _) => (Mood::Plain, "new"),
        (FindingState::Spread, Some(Severity::Error)) => (Mood::Bad, "spread"),
        (FindingState::Spread, _) => (Mood::Risk, "spread"),
        (FindingState::NotJudged, _) => (Mood::Open, "not judged"),
        (FindingState::Remains, _) => (Mood::Plain, "remains"),
        (FindingState::Gone, _) => (Mood::Plain, "gone"),
        (FindingState::Fixed, _) => (Mood::Good, "fixed"),
    }
}
