//! The legend of what occurs, and what is left out.

use std::collections::BTreeSet;

use crate::print::picture::diagram::Diagram;
use crate::print::picture::look::Look;
use crate::print::picture::marks::{Anchor, Area, Point, Sheet};
use crate::print::picture::text::Font;

const TEXT: Font = Font::regular(12.0);
/// Room for a sign before its words.
const SIGN: f64 = 24.0;
const LINE: f64 = 22.0;

/// What an entry shows before its words.
enum Sign {
    Look(Look),
    Away,
}

/// Draws it from `top` on. Returns its bottom.
pub(super) fn legend(sheet: &mut Sheet, diagram: &Diagram, x: f64, top: f64, room: f64) -> f64 {
    let mut y = top;
    for note in &diagram.notes {
        for text in TEXT.wrap(note, room, 3) {
            sheet.text(
                Point { x, y: y + 12.0 },
                Anchor::Start,
                (TEXT, "soft"),
                &text,
                room,
            );
            y += 18.0;
        }
    }
    if !diagram.notes.is_empty() {
        y += 6.0;
    }
    let mut left = x;
    for (sign, words) in entries(diagram) {
        let needed = SIGN + TEXT.width(words) + 26.0;
        if left > x && left + needed > x + room {
            left = x;
            y += LINE;
        }
        match sign {
            Sign::Look(look) => sheet.symbol(left + 8.0, y + 8.0, look),
            Sign::Away => {
                let area = Area {
                    x: left,
                    y: y + 2.0,
                    width: 17.0,
                    height: 12.0,
                };
                sheet.area(area, 3.0, "chip away plain");
            }
        }
        let at = Point {
            x: left + SIGN,
            y: y + 12.5,
        };
        sheet.text(
            at,
            Anchor::Start,
            (TEXT, "soft"),
            words,
            x + room - left - SIGN,
        );
        left += needed;
    }
    if left > x { y + LINE } else { y }
}

fn entries(diagram: &Diagram) -> Vec<(Sign, &'static str)> {
    let panes = diagram.panes.iter();
    let chips = panes
        .clone()
        .flat_map(|pane| &pane.columns)
        .flat_map(|column| &column.chips);
    let lanes = panes
        .clone()
        .flat_map(|pane| &pane.lanes)
        .flat_map(|lane| &lane.strips);
    let strips = lanes.chain(panes.flat_map(|pane| &pane.shared));
    let looks = chips
        .clone()
        .map(|chip| chip.look)
        .chain(strips.clone().map(|strip| strip.look));
    let looks: BTreeSet<Look> = looks.collect();
    let is_away = chips
        .map(|chip| chip.is_away)
        .chain(strips.map(|strip| strip.is_away))
        .any(|is_away| is_away);
    let looks = looks
        .into_iter()
        .rev()
        .filter(|look| !look.meaning().is_empty());
    let looks = looks.map(|look| (Sign::Look(look), look.meaning()));
    let away = is_away.then_some((Sign::Away, "empty place: it runs on another node"));
    looks.chain(away).collect()
}
