//! The ways of the arrows: out of a pane at one of its sides, through the gaps between panes, and in at a side. The gaps between
//! columns of panes are numbered from the left, those between rows from the top; gap 0 is before the first. No two arrows share
//! a line: each has its own track in every gap that it goes through.

use crate::print::picture::diagram::{Arrow, Slot};
use crate::print::picture::layout::Cell;

/// The way of an arrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) arrow: Arrow,
    /// The gap by which it leaves.
    pub(super) out: usize,
    /// The gap between rows through which it crosses to the other gap; `None` where it arrives by that by which it left.
    pub(super) across: Option<usize>,
    /// The gap by which it arrives.
    pub(super) into: usize,
    pub(super) from: Cell,
    pub(super) to: Cell,
}

impl Route {
    /// Whether it leaves to the right.
    pub(super) fn leaves_right(&self) -> bool {
        self.out > self.from.column
    }

    /// Whether it arrives from the right.
    pub(super) fn arrives_right(&self) -> bool {
        self.into > self.to.column
    }
}

/// The shortest ways. `last` is the number of the last gap between columns, which is outside like gap 0.
pub(super) fn routes(arrows: &[Arrow], cells: &[Cell], last: usize) -> Vec<Route> {
    let route = |arrow: &Arrow| {
        let (from, to) = (cells[arrow.from.pane], cells[arrow.to.pane]);
        let sides = |cell: Cell| [cell.column + 1, cell.column];
        let pairs = sides(from)
            .into_iter()
            .flat_map(|out| sides(to).map(|into| (out, into)));
        let is_outside = |gap: usize| usize::from(gap == 0 || gap == last);
        let cost = |(out, into): &(usize, usize)| {
            (out.abs_diff(*into), is_outside(*out) + is_outside(*into))
        };
        let (out, into) = pairs.min_by_key(cost).unwrap_or_default();
        Route {
            arrow: *arrow,
            out,
            across: (out != into).then_some(if to.row < from.row {
                from.row
            } else {
                from.row + 1
            }),
            into,
            from,
            to,
        }
    };
    arrows.iter().map(route).collect()
}

/// How many tracks each gap between columns needs, and each gap between rows.
pub(super) fn tracks(routes: &[Route], columns: usize, rows: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut upright, mut level) = (vec![0; columns + 1], vec![0; rows + 1]);
    for route in routes {
        upright[route.out] += 1;
        if let Some(across) = route.across {
            level[across] += 1;
            upright[route.into] += 1;
        }
    }
    (upright, level)
}

/// How many arrows leave a row of the pane's columns, with so many columns in a row.
pub(super) fn leaving(routes: &[Route], pane: usize, per_row: usize, row: usize) -> usize {
    let here = routes.iter().filter(|route| route.arrow.from.pane == pane);
    let of_row = here
        .filter(|route| matches!(route.arrow.from.slot, Slot::Column(at) if at / per_row == row));
    of_row.count()
}

/// The order in which arrows leave a row of columns, from its top track down: the ones with the shortest way out first, so that
/// no line crosses another one of the same side.
pub(super) fn order_out(routes: &[Route], pane: usize, per_row: usize, row: usize) -> Vec<&Route> {
    let here = routes.iter().filter(|route| route.arrow.from.pane == pane);
    let column = |route: &Route| match route.arrow.from.slot {
        Slot::Column(at) if at / per_row == row => Some(at),
        _ => None,
    };
    let mut leaving: Vec<(usize, &Route)> = here
        .filter_map(|route| Some((column(route)?, route)))
        .collect();
    leaving.sort_by_key(|(at, route)| match route.leaves_right() {
        true => (1, per_row - at % per_row),
        false => (0, at % per_row),
    });
    leaving.into_iter().map(|(_, route)| route).collect()
}
