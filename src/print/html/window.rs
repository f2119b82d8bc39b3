//! The section of what was observed over time.

use maud::{Markup, html};

use crate::document::Document;
use crate::print::harmless;
use crate::print::table::window_lines;

/// `None` without --for.
pub(super) fn window(document: &Document) -> Option<Markup> {
    let lines = window_lines(document);
    if lines.is_empty() {
        return None;
    }
    Some(html! {
        section id="window" aria-labelledby="window-heading" {
            h2 id="window-heading" { "Over time" }
            ul { @for line in lines { li { (harmless(&line)) } } }
        }
    })
}
