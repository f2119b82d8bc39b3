//! The page of an audit or of a map.

use maud::{Markup, html};

use crate::document::rule::RuleText;
use crate::document::{Document, Tool};
use crate::print::html::mark::Mood;
use crate::print::html::page::{Page, footer};
use crate::print::html::result::{expectation, mood, result, sentence};
use crate::print::html::{findings, gaps, machine, processes, window};
use crate::print::picture::{Heading, drawing};
use crate::print::{harmless, head};
use crate::words::Origin;

/// The page as the text of a file. `rules`: what the program says of each rule.
pub(crate) fn audit(document: &Document, rules: &[RuleText]) -> String {
    let host = name(document);
    let sentence = sentence(document);
    let parts = [
        (
            "findings",
            format!("Findings ({})", document.findings.len()),
            findings::findings(document, rules),
        ),
        (
            "processes",
            format!("Processes ({})", document.processes().len()),
            processes::processes(document),
        ),
        ("unknown", "Unknown".to_owned(), gaps::gaps(document)),
        ("window", "Over time".to_owned(), window::window(document)),
        (
            "machine",
            "Machine".to_owned(),
            Some(machine::machine(document)),
        ),
    ];
    let parts = parts.into_iter();
    let parts: Vec<_> = parts
        .filter_map(|(id, word, part)| Some((id, word, part?)))
        .collect();
    let sections = parts.iter().map(|(id, word, _)| (*id, word.clone()));
    let page = Page {
        title: format!("{host}: {sentence}"),
        header: html! {
            h1 { (host) }
            (result(mood(document), &sentence))
            @if let Some(tally) = processes::tally(document) { (tally) }
            @if let Some(expectation) = expectation(document) { (expectation) }
            (open(document))
            p class="where" { (head(&document.host)) }
        },
        sections: sections.collect(),
        main: html! {
            (figure(document, "picture", "What is where", Heading::OnPage))
            @for (_, _, part) in &parts { (part) }
        },
        footer: footer(&made_from(document)),
    };
    page.text()
}

/// The machine's name.
pub(super) fn name(document: &Document) -> String {
    let name = document.host.hostname.as_deref();
    name.map_or("a machine without a name".to_owned(), harmless)
}

/// The picture.
pub(super) fn figure(document: &Document, id: &str, caption: &str, heading: Heading) -> Markup {
    let drawing = drawing(document, id, heading);
    html! {
        figure class="picture" {
            figcaption { (caption) }
            div class="scroll" role="region" aria-label=(caption) tabindex="0" { (drawing) }
        }
    }
}

/// That not everything could be judged, where something worse is the result.
fn open(document: &Document) -> Markup {
    let is_open = document
        .summary
        .as_ref()
        .is_some_and(|of| !of.is_complete());
    html! {
        @if is_open && mood(document) != Mood::Open {
            p class="tally" {
                (super::mark::mark(Mood::Open, "Not everything could be judged:"))
                " see " a href="#unknown" { "what is unknown" }
            }
        }
    }
}

/// `from an audit of the running machine at ... by numa-audit 0.2.0`
fn made_from(document: &Document) -> String {
    let Tool { name, version } = &document.tool;
    let source = match document.host.source.known() {
        Some(Origin::Live) => "the running machine",
        Some(Origin::Snapshot) => "a recording",
        None => "a machine",
    };
    let what = match document.processes {
        Some(_) => "an audit",
        None => "a map",
    };
    let when = document.host.recorded_at.as_ref();
    let when = when.map_or_else(String::new, |when| format!(" as it was at {when}"));
    let maker = match document.tool == Tool::this() {
        true => String::new(),
        false => format!(", made by {name} {version}"),
    };
    format!("from {what} of {source}{when}{maker}")
}
