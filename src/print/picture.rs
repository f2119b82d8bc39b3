//! The picture of a document: the NUMA nodes with their GPUs, and each process where it runs.
//!
//! Data flows one way: `diagram` says what is where, `layout` gives it places with the help of `routes` (the ways of the arrows) and
//! `text` (how wide it is), and `draw` writes that as SVG. Position means node, colour means verdict.

mod diagram;
mod draw;
mod layout;
mod look;
pub(crate) mod map;
mod marks;
mod routes;
#[cfg(test)]
mod tests;
mod text;

use maud::{Markup, PreEscaped, html};

use crate::document::Document;
use crate::print::picture::diagram::Diagram;
use crate::print::picture::layout::Layout;

/// The light colours of the picture's classes.
pub(crate) const STYLE: &str = include_str!("picture/light.css");

/// The dark colours of the same classes.
pub(crate) const DARK_STYLE: &str = include_str!("picture/dark.css");

/// Whether the words on top are a part of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heading {
    /// They are.
    Drawn,
    /// The page has them.
    OnPage,
}

/// The picture as an `<svg>` element for a page that has STYLE. `id` begins the ids of its elements: a page may have several pictures.
pub(crate) fn drawing(document: &Document, id: &str, heading: Heading) -> Markup {
    drawn(document, id, heading, &html! {})
}

/// The sentence of the result; empty where nothing is known at all.
pub(crate) fn sentence(document: &Document) -> String {
    let result = diagram::heading::result(document);
    result.map(|(_, text)| text).unwrap_or_default()
}

/// The picture as a file. It has its colours and a background in it.
pub(crate) fn file(document: &Document) -> String {
    let style = html! {
        style { (PreEscaped(STYLE)) }
        rect class="pic-ground" width="100%" height="100%" {}
    };
    let drawing = drawn(document, "picture", Heading::Drawn, &style);
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    format!("{head}{}\n", drawing.into_string())
}

fn drawn(document: &Document, id: &str, heading: Heading, before: &Markup) -> Markup {
    let mut diagram = diagram::diagram(document);
    let (title, description) = in_words(&diagram);
    if heading == Heading::OnPage {
        diagram.result = None;
        diagram.lines.clear();
    }
    let Layout {
        marks,
        width,
        height,
    } = layout::layout(&diagram);
    let (width, height) = (width.ceil() as u32, height.ceil() as u32);
    let (title_id, description_id) = (format!("{id}-title"), format!("{id}-desc"));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" class="pic" viewBox={ "0 0 " (width) " " (height) } width=(width) height=(height)
            role="img" aria-labelledby={ (title_id) " " (description_id) } {
            title id=(title_id) { (title) }
            desc id=(description_id) { (description) }
            (before)
            (draw::elements(&marks))
        }
    }
}

/// The picture in words, for a screen reader.
fn in_words(diagram: &Diagram) -> (String, String) {
    let title = diagram
        .result
        .as_ref()
        .map_or("NUMA nodes", |(_, text)| text);
    let lines = diagram.lines.iter().map(|line| line.text.clone());
    let panes = diagram.panes.iter().map(|pane| {
        let gpus = pane.gpus().unwrap_or("no GPUs".to_owned());
        let strips = pane.lanes.iter().flat_map(|lane| &lane.strips);
        let guests: Vec<String> = strips
            .map(|strip| format!("{} of {}", strip.text, diagram::gpus(&strip.team)))
            .collect();
        let guests = match guests.is_empty() {
            true => String::new(),
            false => format!("; from elsewhere: {}", guests.join(", ")),
        };
        format!("{}: {gpus}{guests}", pane.title)
    });
    let text: Vec<String> = lines
        .chain(panes)
        .chain(diagram.notes.iter().cloned())
        .collect();
    (title.to_owned(), text.join(". "))
}
