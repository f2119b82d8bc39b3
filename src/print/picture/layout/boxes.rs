//! The boxes of GPUs and processes.

use crate::print::picture::diagram::{Chip, Column, Strip, gpus};
use crate::print::picture::look::Look;
use crate::print::picture::marks::{Anchor, Area, Point, Sheet};
use crate::print::picture::text::Font;

/// Between two columns.
pub(super) const GAP: f64 = 10.0;
/// Room for a symbol at the left.
const SYMBOL: f64 = 26.0;

const GPU: Font = Font::bold(14.0);
const MODEL: Font = Font::regular(10.5);
const NAME: Font = Font::regular(12.5);
const STRONG: Font = Font::bold(12.5);
const NOTE: Font = Font::regular(10.5);

/// The class of text about something that looks like this.
pub(super) fn ink(look: Look) -> &'static str {
    match look {
        Look::Wrong => "ink-bad",
        Look::AtRisk => "ink-risk",
        Look::Fine => "ink-ok",
        Look::Unknown => "ink-unknown",
        Look::Single | Look::Plain => "ink",
    }
}

/// A GPU and what is below it. Returns the bottom.
pub(super) fn column(sheet: &mut Sheet, column: &Column, x: f64, top: f64, width: f64) -> f64 {
    let middle = x + width / 2.0;
    let height = 44.0;
    let area = Area {
        x,
        y: top,
        width,
        height,
    };
    sheet.area(area, 6.0, "gpu");
    let line = if column.model.is_empty() { 27.0 } else { 20.0 };
    let at = Point {
        x: middle,
        y: top + line,
    };
    let name = format!("GPU {}", column.gpu);
    sheet.text(at, Anchor::Middle, (GPU, "gpu-name"), &name, width - 12.0);
    let at = Point {
        x: middle,
        y: top + 35.0,
    };
    sheet.text(
        at,
        Anchor::Middle,
        (MODEL, "gpu-model"),
        &column.model,
        width - 12.0,
    );
    let mut y = top + height;
    for line in &column.lines {
        let at = Point {
            x: middle,
            y: y + 14.0,
        };
        sheet.text(at, Anchor::Middle, (NOTE, "soft"), line, width);
        y += 15.0;
    }
    y += 8.0;
    for chip in &column.chips {
        let area = Area {
            x,
            y,
            width,
            height: chip_height(chip),
        };
        sheet.group(&chip.tip, |sheet| draw_chip(sheet, chip, area));
        y = area.bottom() + 6.0;
    }
    match column.chips.is_empty() {
        true => y - 8.0,
        false => y - 6.0,
    }
}

fn chip_height(chip: &Chip) -> f64 {
    match chip.notes.len() {
        0 => 30.0,
        notes => 28.0 + 14.0 * notes as f64,
    }
}

fn draw_chip(sheet: &mut Sheet, chip: &Chip, area: Area) {
    sheet.area(area, 6.0, classes(chip.look, chip.is_away));
    let baseline = area.y + if chip.notes.is_empty() { 19.5 } else { 18.5 };
    let has_symbol = chip.look != Look::Plain;
    let indent = if has_symbol { SYMBOL } else { 10.0 };
    if has_symbol {
        sheet.symbol(area.x + 14.0, baseline - 4.5, chip.look);
    }
    let class = if chip.is_away { ink(chip.look) } else { "ink" };
    let class = if has_symbol { class } else { "soft" };
    let at = Point {
        x: area.x + indent,
        y: baseline,
    };
    sheet.text(
        at,
        Anchor::Start,
        (NAME, class),
        &chip.text,
        area.width - indent - 6.0,
    );
    for (line, note) in (1..).zip(&chip.notes) {
        let at = Point {
            x: area.x + 8.0,
            y: baseline + 14.0 * f64::from(line),
        };
        sheet.text(
            at,
            Anchor::Start,
            (NOTE, ink(chip.look)),
            note,
            area.width - 14.0,
        );
    }
}

/// A line for processes. Returns its height.
pub(super) fn strip(sheet: &mut Sheet, strip: &Strip, x: f64, y: f64, width: f64) -> f64 {
    const PAD: f64 = 10.0;
    let team = gpus(&strip.team);
    let (side, text) = (NOTE.width(&strip.side), STRONG.width(&strip.text));
    let one_line = SYMBOL + STRONG.width(&team) + 3.0 * PAD + text + side + PAD <= width;
    let height = if one_line { 32.0 } else { 48.0 };
    let area = Area {
        x,
        y,
        width,
        height,
    };
    sheet.group(&strip.tip, |sheet| {
        let classes = match strip.is_memory {
            true => format!("{} memory", classes(strip.look, strip.is_away)),
            false => classes(strip.look, strip.is_away),
        };
        sheet.area(area, 6.0, classes);
        sheet.symbol(x + 16.0, y + 16.0, strip.look);
        let left = x + SYMBOL + 4.0;
        let at = Point {
            x: left,
            y: y + 20.5,
        };
        let room = width - SYMBOL - side - 2.0 * PAD;
        let used = sheet.text(at, Anchor::Start, (STRONG, ink(strip.look)), &team, room);
        let at = Point {
            x: x + width - PAD,
            y: y + 20.0,
        };
        sheet.text(at, Anchor::End, (NOTE, "soft"), &strip.side, side);
        let (at, room) = match one_line {
            true => (
                Point {
                    x: left + used + PAD,
                    y: y + 20.5,
                },
                text,
            ),
            false => (
                Point {
                    x: left,
                    y: y + 37.0,
                },
                width - SYMBOL - 4.0 - PAD,
            ),
        };
        sheet.text(at, Anchor::Start, (STRONG, "ink"), &strip.text, room);
    });
    height
}

fn classes(look: Look, is_away: bool) -> String {
    let away = if is_away { " away" } else { "" };
    format!("chip {}{away}", look.class())
}
