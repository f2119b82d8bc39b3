//! Where everything is drawn. Several arrangements are tried, and the one that is largest on a wide screen is taken.

mod arrows;
mod bar;
mod boxes;
mod grid;
mod heading;
mod legend;
mod pane;

use crate::print::picture::diagram::{Diagram, Pane, Slot};
use crate::print::picture::marks::{Anchor, Area, Mark, Point, Sheet};
use crate::print::picture::routes::{self, Route};
use crate::print::picture::text::Font;

pub(super) use grid::Cell;
use grid::Grid;
use pane::{COLUMN, LaidPane, PAD, PaneFrame, TRACK};

/// Around everything.
const MARGIN: f64 = 28.0;
/// Between two panes.
const PANE_GAP: f64 = 28.0;
/// Between a socket's frame and its panes, and above them for its name.
const FRAME_PAD: f64 = 12.0;
const FRAME_TITLE: f64 = 26.0;
/// The least width of a pane.
const PANE: f64 = 292.0;
/// Wider is not tried, unless there is no other arrangement.
const WIDEST: f64 = 2200.0;
/// The least width of the whole.
const NARROWEST: f64 = 880.0;

/// The drawing, with its size.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) marks: Vec<Mark>,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Layout {
    /// How large it is on a screen of 1400 by 720, in thousandths; of those that are alike the lower one.
    fn score(&self) -> f64 {
        let scale = (1400.0 / self.width).min(720.0 / self.height);
        1000.0 * scale - self.height / 50.0
    }
}

/// Lays the diagram out.
pub(super) fn layout(diagram: &Diagram) -> Layout {
    const MOST_PANES: usize = 6;
    const MOST_COLUMNS: usize = 8;
    let widest = diagram.panes.iter().map(|pane| pane.columns.len()).max();
    let widest = widest.unwrap_or_default().max(1);
    let mut best: Option<Layout> = None;
    for panes in 1..=MOST_PANES.min(diagram.panes.len().max(1)) {
        for columns in
            (1..=widest.min(MOST_COLUMNS)).filter(|columns| is_balanced(*columns, widest))
        {
            let plan = Plan::new(diagram, panes, columns);
            if best.is_some() && plan.width > WIDEST {
                continue;
            }
            let layout = plan.draw();
            if best
                .as_ref()
                .is_none_or(|best| layout.score() > best.score())
            {
                best = Some(layout);
            }
        }
    }
    best.unwrap_or_default()
}

/// Whether rows of so many differ by one at most.
fn is_balanced(columns: usize, all: usize) -> bool {
    all.div_ceil(all.div_ceil(columns)) == columns
}

/// One arrangement.
struct Plan<'a> {
    diagram: &'a Diagram,
    grid: Grid,
    routes: Vec<Route>,
    /// How many columns of GPUs stand side by side in a pane.
    columns: usize,
    laid: Vec<LaidPane>,
    /// The left edges of the panes, and what is right of them, by column of the grid.
    lefts: Vec<f64>,
    pane_width: f64,
    width: f64,
    /// How many tracks each gap between rows has.
    level: Vec<usize>,
}

impl<'a> Plan<'a> {
    fn new(diagram: &'a Diagram, panes: usize, columns: usize) -> Self {
        let grid = grid::grid(&diagram.groups, diagram.panes.len(), panes);
        let routes = routes::routes(&diagram.arrows, &grid.cells, grid.columns);
        let (upright, level) = routes::tracks(&routes, grid.columns, grid.rows);
        let has_frames = !grid.frames.is_empty();
        let gaps: Vec<f64> = (0..=grid.columns)
            .map(|at| gap(at, grid.columns, upright[at], has_frames))
            .collect();
        let count = grid.columns as f64;
        let needed = columns as f64 * (COLUMN + boxes::GAP) - boxes::GAP + 2.0 * PAD;
        let around: f64 = gaps.iter().sum();
        let pane_width = needed.max(PANE).max((NARROWEST - around) / count.max(1.0));
        let mut lefts = Vec::new();
        let mut x = 0.0;
        for gap in &gaps {
            x += gap;
            lefts.push(x);
            x += pane_width;
        }
        let width = (x - pane_width).max(NARROWEST);
        let frame = PaneFrame {
            width: pane_width,
            columns,
            most_memory: diagram.most_memory,
        };
        let lay = |(index, of): (usize, &Pane)| {
            let order: Vec<Vec<usize>> = (0..of.lanes.len())
                .map(|lane| arrows::order_in(&routes, diagram, index, lane))
                .collect();
            pane::lay(
                of,
                frame,
                |row| routes::leaving(&routes, index, columns, row),
                &order,
            )
        };
        let laid = diagram.panes.iter().enumerate().map(lay).collect();
        Self {
            diagram,
            grid,
            routes,
            columns,
            laid,
            lefts,
            pane_width,
            width,
            level,
        }
    }

    fn draw(&self) -> Layout {
        let mut sheet = Sheet::default();
        let mut y = heading::heading(&mut sheet, self.diagram, MARGIN, self.width - 2.0 * MARGIN);
        let mut tops = Vec::new();
        for row in 0..self.grid.rows {
            y += self.row_gap(row);
            tops.push(y);
            y += self.row_height(row);
        }
        y += self.row_gap(self.grid.rows);
        self.frames(&mut sheet, &tops);
        for (index, pane) in self.diagram.panes.iter().enumerate() {
            let area = self.area(index, &tops);
            sheet.marks.extend(self.laid[index].at(area, pane.is_empty));
        }
        arrows::arrows(&mut sheet, self, &tops);
        let bottom = legend::legend(
            &mut sheet,
            self.diagram,
            MARGIN,
            y,
            self.width - 2.0 * MARGIN,
        );
        Layout {
            marks: sheet.marks,
            width: self.width,
            height: bottom + MARGIN - 8.0,
        }
    }

    fn area(&self, pane: usize, tops: &[f64]) -> Area {
        let cell = self.grid.cells[pane];
        Area {
            x: self.lefts[cell.column],
            y: tops[cell.row],
            width: self.pane_width,
            height: self.row_height(cell.row),
        }
    }

    fn row_height(&self, row: usize) -> f64 {
        let here = self
            .grid
            .cells
            .iter()
            .zip(&self.laid)
            .filter(|(cell, _)| cell.row == row);
        here.map(|(_, laid)| laid.height).fold(0.0, f64::max)
    }

    /// The gap above a row.
    fn row_gap(&self, row: usize) -> f64 {
        let tracks = self.level[row] as f64 * TRACK;
        let starts = self.grid.frames.iter().any(|frame| frame.first.row == row);
        let ends = self
            .grid
            .frames
            .iter()
            .any(|frame| frame.last.row + 1 == row);
        let frames = if starts { FRAME_TITLE } else { 0.0 } + if ends { FRAME_PAD } else { 0.0 };
        let between = if row == 0 { 16.0 } else { PANE_GAP - 10.0 };
        tracks + frames + between
    }

    fn frames(&self, sheet: &mut Sheet, tops: &[f64]) {
        const NAME: Font = Font::bold(12.0);
        for frame in &self.grid.frames {
            let (x, y) = (
                self.lefts[frame.first.column] - FRAME_PAD,
                tops[frame.first.row] - FRAME_TITLE,
            );
            let right = self.lefts[frame.last.column] + self.pane_width + FRAME_PAD;
            let bottom = tops[frame.last.row] + self.row_height(frame.last.row) + FRAME_PAD;
            let area = Area {
                x,
                y,
                width: right - x,
                height: bottom - y,
            };
            sheet.area(area, 14.0, "socket");
            let at = Point {
                x: x + FRAME_PAD + 4.0,
                y: y + 18.0,
            };
            sheet.text(
                at,
                Anchor::Start,
                (NAME, "soft"),
                &frame.title,
                area.width - 2.0 * FRAME_PAD,
            );
        }
    }

    /// Where an arrow's slot is.
    fn slot(&self, pane: usize, slot: Slot, tops: &[f64]) -> Option<(Point, f64)> {
        let area = self.area(pane, tops);
        let (at, track) = self.laid.get(pane)?.slot(slot)?;
        let at = Point {
            x: area.x + at.x,
            y: area.y + at.y,
        };
        Some((at, area.y + track))
    }
}

/// The width of a gap between columns of panes, with its tracks.
fn gap(at: usize, last: usize, tracks: usize, has_frames: bool) -> f64 {
    let is_outside = at == 0 || at == last;
    let least = if is_outside { MARGIN } else { PANE_GAP };
    let frames = match (has_frames, is_outside) {
        (false, _) => 0.0,
        (true, true) => FRAME_PAD,
        (true, false) => 2.0 * FRAME_PAD,
    };
    let needed = match tracks {
        0 => 0.0,
        // The head of an arrow has room beside the first line.
        tracks => tracks as f64 * TRACK + 20.0,
    };
    least.max(needed) + frames
}
