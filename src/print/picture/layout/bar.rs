//! The bar of a node's memory, with its parts in words below it.

use crate::print::picture::diagram::{Bar, Share};
use crate::print::picture::marks::{Anchor, Area, Mark, Point, Sheet};
use crate::print::picture::text::Font;
use crate::units::Bytes;

const LABEL: Font = Font::regular(12.0);
const TOTAL: Font = Font::bold(12.5);
const PART: Font = Font::regular(11.0);
const THICKNESS: f64 = 14.0;

/// The marks, from a top of 0, and their height.
pub(super) fn bar(bar: &Bar, x: f64, width: f64, most: Bytes) -> (Vec<Mark>, f64) {
    let mut sheet = Sheet::default();
    let about = if bar.is_estimate { "~" } else { "" };
    let total = match bar.unknown {
        0 if bar.parts.is_empty() && bar.is_open => "none known".to_owned(),
        0 if bar.parts.is_empty() => "none".to_owned(),
        0 => format!("{about}{}", bar.total()),
        _ if bar.parts.is_empty() => "?".to_owned(),
        _ => format!("{about}{} + ?", bar.total()),
    };
    let at = Point {
        x: x + width,
        y: 13.0,
    };
    let used = sheet.text(at, Anchor::End, (TOTAL, "ink"), &total, width);
    let at = Point { x, y: 13.0 };
    sheet.text(
        at,
        Anchor::Start,
        (LABEL, "soft"),
        "processes' memory here",
        width - used - 10.0,
    );
    let area = Area {
        x,
        y: 20.0,
        width,
        height: THICKNESS,
    };
    sheet.area(
        area,
        2.0,
        if bar.parts.is_empty() && bar.unknown > 0 {
            "track unknown"
        } else {
            "track"
        },
    );
    let mut left = x;
    for (share, bytes) in &bar.parts {
        let part = bytes.0 as f64 / most.0.max(1) as f64 * width;
        let part = part.min(x + width - left);
        if part > 0.0 {
            let area = Area {
                x: left,
                y: 20.0,
                width: part,
                height: THICKNESS,
            };
            sheet.area(area, 0.0, format!("bar {}", class(*share)));
        }
        left += part;
    }
    let bottom = words(&mut sheet, bar, x, width);
    (sheet.marks, bottom)
}

/// The parts in words, as many in a line as fit. Returns the bottom.
fn words(sheet: &mut Sheet, bar: &Bar, x: f64, width: f64) -> f64 {
    const SWATCH: f64 = 13.0;
    let parts = bar.parts.iter().filter(|(_, bytes)| bytes.0 > 0);
    let about = if bar.is_estimate { "~" } else { "" };
    let parts =
        parts.map(|(share, bytes)| (class(*share), format!("{about}{bytes} {}", meaning(*share))));
    let unknown = (bar.unknown > 0).then(|| {
        let of = if bar.unknown == 1 {
            "1 process".to_owned()
        } else {
            format!("{} processes", bar.unknown)
        };
        ("unknown", format!("memory of {of}: ?"))
    });
    let parts: Vec<(&str, String)> = parts.chain(unknown).collect();
    let (mut left, mut line) = (x, 20.0 + THICKNESS + 16.0);
    for (class, text) in &parts {
        let needed = SWATCH + PART.width(text);
        if left > x && left + needed > x + width {
            left = x;
            line += 16.0;
        }
        let area = Area {
            x: left,
            y: line - 8.0,
            width: 8.0,
            height: 8.0,
        };
        sheet.area(area, 1.0, format!("bar {class}"));
        let at = Point {
            x: left + SWATCH,
            y: line,
        };
        sheet.text(
            at,
            Anchor::Start,
            (PART, "soft"),
            text,
            x + width - left - SWATCH,
        );
        left += needed + 14.0;
    }
    match parts.is_empty() {
        true => 20.0 + THICKNESS,
        false => line + 3.0,
    }
}

fn class(share: Share) -> &'static str {
    match share {
        Share::Local => "ok",
        Share::Single => "single",
        Share::Slight => "slight",
        Share::Unknown => "unknown",
        Share::Near => "risk",
        Share::Remote => "bad",
    }
}

fn meaning(share: Share) -> &'static str {
    match share {
        Share::Local => "of this node's GPUs",
        Share::Single => "on the only node",
        Share::Slight => "of other GPUs, too little to count",
        Share::Unknown => "not judged",
        Share::Near => "of other GPUs of this socket",
        Share::Remote => "of other nodes' GPUs",
    }
}
