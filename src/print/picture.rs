//! The picture of a document: what is where.

use maud::{Markup, html};

use crate::document::Document;
use crate::print::harmless;

/// An `<svg>` element, to stand in a page or in a file of its own.
#[derive(Debug, Clone)]
pub(crate) struct Drawing {
    /// The element.
    pub(crate) markup: Markup,
    /// In pixels, as the viewBox has it.
    pub(crate) width: u32,
    /// In pixels, as the viewBox has it.
    pub(crate) height: u32,
}

/// The light colours of the picture's classes.
pub(crate) const STYLE: &str = include_str!("picture/light.css");

/// The dark colours of the same classes.
pub(crate) const DARK_STYLE: &str = include_str!("picture/dark.css");

/// The picture. `id` begins the ids of its elements: a page may have several pictures.
pub(crate) fn drawing(document: &Document, id: &str) -> Drawing {
    let title = harmless(document.host.hostname.as_deref().unwrap_or("?"));
    let markup = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 500" role="img"
            aria-labelledby={ (id) "-title " (id) "-desc" } {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-desc" } { (title) }
            text class="pic-text" x="20" y="40" font-size="20" { (title) }
        }
    };
    Drawing {
        markup,
        width: 1000,
        height: 500,
    }
}

/// The picture as a file.
pub(crate) fn file(document: &Document) -> String {
    let drawing = drawing(document, "picture");
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    format!("{head}{}\n", drawing.markup.into_string())
}
