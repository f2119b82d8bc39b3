//! The section of one machine: its picture, its findings, what is unknown.

use maud::html;

use crate::document::Document;
use crate::document::rule::RuleText;
use crate::print::gaps::lines;
use crate::print::head;
use crate::print::html::audit::{figure, name};
use crate::print::html::findings::{Explained, Place, list};
use crate::print::html::mark::{Mood, mark};
use crate::print::html::page::visible;
use crate::print::html::processes::tally;
use crate::print::html::result::{mood, sentence};
use crate::print::picture::Heading;

/// So many machines have a picture although nothing is wrong with them. One of 8 GPUs takes 20 KiB: a fleet of thousands would
/// be too large to open.
const PICTURED: usize = 64;

/// The id of the section with this number.
pub(super) fn id(number: usize) -> String {
    format!("m{number}")
}

/// A machine's section as text.
#[derive(Debug)]
pub(crate) struct FleetSection(pub(crate) String);

impl FleetSection {
    /// The section with this number.
    pub(crate) fn of(document: &Document, number: usize, rules: &[RuleText]) -> Self {
        let id = id(number);
        let findings = format!("{id}f");
        let picture = format!("{id}p");
        let place = Place {
            id: &findings,
            has_rows: false,
            level: 4,
            explained: Explained::ByLink(rules),
        };
        let host = name(document);
        let mood = mood(document);
        let caption = format!("What is where on {host}");
        let gaps = lines(document);
        let is_drawn = mood != Mood::Good || number < PICTURED;
        let section = html! {
            details class={ "machine " (mood.class()) } {
                summary { h3 { (mark(mood, &host)) } " " span class="said" { (sentence(document)) } }
                div class="body" id=(id) {
                    p class="where" { (head(&document.host)) }
                    @if let Some(tally) = tally(document) { (tally) }
                    @if is_drawn { (figure(document, &picture, &caption, Heading::OnPage)) } @else {
                        p { "Without a picture, because nothing is wrong here: numa-audit show FILE --html draws it." }
                    }
                    (list(document, place))
                    @if !gaps.is_empty() {
                        p { b { "Unknown:" } }
                        ul { @for (fact, hint) in gaps { li { (fact) @if let Some(hint) = hint { "; " (hint) } } } }
                    }
                    p { a href="#overview" { "Back to all machines" } }
                }
            }
        };
        Self(visible(section.into_string()))
    }
}
