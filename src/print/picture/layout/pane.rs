//! A pane: from top to bottom its name, the GPUs in columns, lines for processes of several GPUs, the lanes of guests, and the bar
//! of memory.

use crate::print::picture::diagram::{Pane, Slot, Strip};
use crate::print::picture::layout::bar;
use crate::print::picture::layout::boxes::{self, GAP};
use crate::print::picture::marks::{Anchor, Area, Mark, Point, Sheet};
use crate::print::picture::text::Font;
use crate::units::Bytes;

/// Between a pane's edge and what is in it.
pub(super) const PAD: f64 = 16.0;
/// The least width of a column.
pub(super) const COLUMN: f64 = 138.0;
/// The width that a column does not exceed where there is room.
const WIDEST_COLUMN: f64 = 280.0;
/// Between two parallel lines.
pub(super) const TRACK: f64 = 9.0;

const HEADER: f64 = 42.0;
const TITLE: Font = Font::bold(15.0);
const DETAIL: Font = Font::regular(12.0);
const HEADING: Font = Font::bold(12.0);

/// How a pane is to be laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaneFrame {
    pub(super) width: f64,
    /// How many columns stand side by side.
    pub(super) columns: usize,
    /// What the whole width of a bar stands for.
    pub(super) most_memory: Bytes,
}

impl PaneFrame {
    fn inner(self) -> f64 {
        self.width - 2.0 * PAD
    }

    fn column(self) -> f64 {
        let count = self.columns as f64;
        ((self.inner() - (count - 1.0) * GAP) / count).min(WIDEST_COLUMN)
    }
}

/// A pane that is laid out, at the origin.
#[derive(Debug, Default)]
pub(super) struct LaidPane {
    marks: Vec<Mark>,
    /// The bar, which stands at the bottom however tall the pane becomes; from the bar's own top.
    bar: Option<(Vec<Mark>, f64)>,
    /// The least height.
    pub(super) height: f64,
    /// Where the line of each column begins, and where its tracks do: as many as the row of columns has arrows.
    columns: Vec<(Point, f64)>,
    /// The middles of strips.
    shared: Vec<f64>,
    lanes: Vec<Vec<f64>>,
}

impl LaidPane {
    /// The marks of the pane at this place, as tall as this.
    pub(super) fn at(&self, area: Area, is_empty: bool) -> Vec<Mark> {
        let origin = Point {
            x: area.x,
            y: area.y,
        };
        let classes = if is_empty { "pane empty" } else { "pane" };
        let mut sheet = Sheet::default();
        sheet.area(area, 10.0, classes);
        sheet
            .marks
            .extend(self.marks.iter().map(|mark| mark.clone().moved(origin)));
        if let Some((marks, height)) = &self.bar {
            let y = area.bottom() - height - PAD;
            let at = Point { x: area.x, y };
            sheet
                .marks
                .extend(marks.iter().map(|mark| mark.clone().moved(at)));
        }
        sheet.marks
    }

    /// The middle of a strip, or where the line of a column begins and where the tracks of its row do.
    pub(super) fn slot(&self, slot: Slot) -> Option<(Point, f64)> {
        let middle = |y: &f64| (Point { x: PAD, y: *y }, *y);
        match slot {
            Slot::Column(at) => self.columns.get(at).copied(),
            Slot::Shared(at) => self.shared.get(at).map(middle),
            Slot::Lane(lane, at) => self.lanes.get(lane)?.get(at).map(middle),
        }
    }
}

/// Lays a pane out. `tracks` is how many arrows leave a row of columns; `order` is the order of the strips in each lane.
pub(super) fn lay(
    pane: &Pane,
    frame: PaneFrame,
    tracks: impl Fn(usize) -> usize,
    order: &[Vec<usize>],
) -> LaidPane {
    let mut laid = LaidPane::default();
    let mut sheet = Sheet::default();
    header(&mut sheet, pane, frame);
    let mut y = HEADER;
    for (row, columns) in pane.columns.chunks(frame.columns.max(1)).enumerate() {
        y = column_row(&mut sheet, &mut laid, columns, frame, y, tracks(row));
    }
    for strip in &pane.shared {
        y = one_strip(&mut sheet, strip, frame, y, &mut laid.shared);
    }
    for (lane, order) in pane.lanes.iter().zip(order) {
        let class = boxes::ink(lane.look);
        y += 3.0;
        for line in HEADING.wrap(lane.heading, frame.inner(), 2) {
            let at = Point {
                x: PAD,
                y: y + 13.0,
            };
            sheet.text(at, Anchor::Start, (HEADING, class), &line, frame.inner());
            y += 16.0;
        }
        y += 5.0;
        let mut middles = vec![0.0; lane.strips.len()];
        for index in order {
            let mut middle = Vec::new();
            y = one_strip(&mut sheet, &lane.strips[*index], frame, y, &mut middle);
            middles[*index] = middle[0];
        }
        laid.lanes.push(middles);
        y += 4.0;
    }
    let distances = pane.distances.join(", ");
    let distances = (!distances.is_empty()).then(|| format!("distance {distances}"));
    for line in pane.lines.iter().chain(&distances) {
        for text in DETAIL.wrap(line, frame.inner(), 3) {
            let at = Point {
                x: PAD,
                y: y + 12.0,
            };
            sheet.text(at, Anchor::Start, (DETAIL, "soft"), &text, frame.inner());
            y += 17.0;
        }
    }
    if let Some(bar) = &pane.memory {
        let (marks, height) = bar::bar(bar, PAD, frame.inner(), frame.most_memory);
        y += 10.0 + height;
        laid.bar = Some((marks, height));
    }
    laid.marks = sheet.marks;
    laid.height = y + PAD;
    laid
}

fn header(sheet: &mut Sheet, pane: &Pane, frame: PaneFrame) {
    let at = Point { x: PAD, y: 27.0 };
    let width = sheet.text(
        at,
        Anchor::Start,
        (TITLE, "ink"),
        &pane.title,
        frame.inner(),
    );
    let room = frame.inner() - width - 12.0;
    let details = DETAIL.first_that_fits(&pane.details(), room);
    let at = Point {
        x: frame.width - PAD,
        y: 27.0,
    };
    sheet.text(at, Anchor::End, (DETAIL, "soft"), &details, room);
}

/// A row of columns and the tracks below it. Returns where the next part begins.
fn column_row(
    sheet: &mut Sheet,
    laid: &mut LaidPane,
    columns: &[crate::print::picture::diagram::Column],
    frame: PaneFrame,
    top: f64,
    tracks: usize,
) -> f64 {
    let width = frame.column();
    let mut bottoms = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let x = PAD + at as f64 * (width + GAP);
        bottoms.push((x + width / 2.0, boxes::column(sheet, column, x, top, width)));
    }
    let lowest = bottoms.iter().map(|(_, y)| *y).fold(top, f64::max);
    let first_track = lowest + TRACK;
    let begins = bottoms
        .into_iter()
        .map(|(x, y)| (Point { x, y }, first_track));
    laid.columns.extend(begins);
    match tracks {
        0 => lowest + GAP,
        count => first_track + count as f64 * TRACK + GAP / 2.0,
    }
}

fn one_strip(
    sheet: &mut Sheet,
    strip: &Strip,
    frame: PaneFrame,
    y: f64,
    middles: &mut Vec<f64>,
) -> f64 {
    let height = boxes::strip(sheet, strip, PAD, y, frame.inner());
    middles.push(y + height / 2.0);
    y + height + 6.0
}
