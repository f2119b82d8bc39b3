//! The heading: the sentence of the result and the smaller lines.

use crate::print::picture::diagram::Diagram;
use crate::print::picture::layout::boxes::ink;
use crate::print::picture::look::Look;
use crate::print::picture::marks::{Anchor, Point, Sheet};
use crate::print::picture::text::Font;

const RESULT: Font = Font::bold(20.0);
const LINE: Font = Font::regular(13.0);
/// Between a symbol and its text.
const INDENT: f64 = 28.0;

/// Draws it. Returns its bottom.
pub(super) fn heading(sheet: &mut Sheet, diagram: &Diagram, x: f64, room: f64) -> f64 {
    let mut y = 24.0;
    if let Some((look, text)) = &diagram.result {
        let indent = if *look == Look::Plain { 0.0 } else { INDENT };
        if indent > 0.0 {
            sheet.symbol(x + 10.0, y + 9.0, *look);
        }
        for line in RESULT.wrap(text, room - indent, 3) {
            let at = Point {
                x: x + indent,
                y: y + 16.0,
            };
            sheet.text(
                at,
                Anchor::Start,
                (RESULT, ink(*look)),
                &line,
                room - indent,
            );
            y += 26.0;
        }
    }
    y += 2.0;
    for line in &diagram.lines {
        let class = if line.look == Look::Plain {
            "soft"
        } else {
            ink(line.look)
        };
        let indent = if line.look == Look::Plain {
            0.0
        } else {
            INDENT
        };
        if indent > 0.0 {
            sheet.symbol(x + 10.0, y + 8.5, line.look);
        }
        for text in LINE.wrap(&line.text, room - indent, 2) {
            let at = Point {
                x: x + indent,
                y: y + 13.0,
            };
            sheet.text(at, Anchor::Start, (LINE, class), &text, room - indent);
            y += 19.0;
        }
    }
    y
}
