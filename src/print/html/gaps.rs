//! The section of what is not known.

use maud::{Markup, html};

use crate::document::Document;
use crate::print::gaps::lines;

/// `None` where nothing is missing.
pub(super) fn gaps(document: &Document) -> Option<Markup> {
    let lines = lines(document);
    if lines.is_empty() {
        return None;
    }
    Some(html! {
        section id="unknown" aria-labelledby="unknown-heading" {
            h2 id="unknown-heading" { "Unknown" }
            p { "What could not be read or judged. Where it matters, the result above may be too good." }
            ul class="gaps" {
                @for (fact, hint) in lines {
                    li {
                        span class="mark open" aria-hidden="true" { "?" } " " (fact)
                        @if let Some(hint) = hint { br; span class="hint" { "What would help: " (hint) } }
                    }
                }
            }
        }
    })
}
