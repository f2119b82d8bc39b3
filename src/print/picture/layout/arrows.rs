//! The arrows' lines, point by point.

use crate::print::picture::diagram::{Diagram, Slot};
use crate::print::picture::layout::Plan;
use crate::print::picture::layout::pane::{PAD, TRACK};
use crate::print::picture::marks::{Mark, Point, Sheet};
use crate::print::picture::routes::{self, Route};

/// The strips of a lane from top to bottom: in the order in which their arrows come, so that they do not cross.
pub(super) fn order_in(
    routes: &[Route],
    diagram: &Diagram,
    pane: usize,
    lane: usize,
) -> Vec<usize> {
    let strips = &diagram.panes[pane].lanes[lane].strips;
    let mut order: Vec<usize> = (0..strips.len()).collect();
    order.sort_by_key(|index| {
        let here = |route: &&Route| {
            route.arrow.to.pane == pane && route.arrow.to.slot == Slot::Lane(lane, *index)
        };
        let route = routes.iter().find(here)?;
        let from = match route.arrow.from.slot {
            Slot::Column(at) | Slot::Shared(at) | Slot::Lane(at, _) => at,
        };
        // Of one pane in the order of the lines that leave it, see `routes::order_out`.
        let nearest = if route.leaves_right() {
            usize::MAX - from
        } else {
            from
        };
        Some((route.from.row, route.from.column, nearest))
    });
    order
}

/// A level line: its height, and from where to where it goes.
type Level = (f64, f64, f64);

/// Draws all arrows.
pub(super) fn arrows(sheet: &mut Sheet, plan: &Plan, tops: &[f64]) {
    let starts = plan.routes.iter().filter_map(|route| {
        let (begin, end) = ends(plan, route, tops)?;
        Some((route, begin, end))
    });
    let starts: Vec<(&Route, Vec<Point>, Point)> = starts.collect();
    let upright = upright(plan, &starts);
    // A column's track is its own; a strip may have several arrows.
    let tracks = starts
        .iter()
        .zip(&upright)
        .filter_map(|((route, begin, _), (x, _))| {
            let last = begin.last()?;
            let is_track = matches!(route.arrow.from.slot, Slot::Column(_));
            is_track.then_some((last.y, last.x.min(*x), last.x.max(*x)))
        });
    let mut taken: Vec<Level> = tracks.collect();
    let mut level = vec![0; plan.level.len()];
    for (index, (route, begin, end)) in starts.iter().enumerate() {
        let mut points = begin.clone();
        let x = upright[index].0;
        let Some(last) = points.last_mut() else {
            continue;
        };
        if !matches!(route.arrow.from.slot, Slot::Column(_)) {
            let (left, right) = (last.x.min(x), last.x.max(x));
            let Some(y) = free(&mut taken, last.y, left, right) else {
                continue;
            };
            last.y = y;
        }
        let y = last.y;
        points.push(Point { x, y });
        if let Some(across) = route.across {
            let y = tops
                .get(across)
                .map_or_else(|| bottom(plan, tops), |top| top - plan.row_gap(across))
                + 6.0;
            let y = y + f64::from(level[across]) * TRACK;
            level[across] += 1;
            points.push(Point { x, y });
            points.push(Point {
                x: upright[index].1,
                y,
            });
        }
        let x = points.last().map_or(0.0, |point| point.x);
        let Some(y) = free(&mut taken, end.y, x.min(end.x), x.max(end.x)) else {
            continue;
        };
        points.push(Point { x, y });
        points.push(Point { x: end.x, y });
        let memory = if route.arrow.is_memory { " memory" } else { "" };
        sheet.marks.push(Mark::Arrow {
            points,
            classes: format!("arrow {}{memory}", route.arrow.look.class()),
        });
    }
}

/// The height next to `y` at which no other level line is in the way: the strip is taller than a line. `None` where there is no
/// room for one more: then there is no arrow, and the strip says it alone.
fn free(taken: &mut Vec<Level>, y: f64, left: f64, right: f64) -> Option<f64> {
    /// Lines this near are taken for one.
    const APART: f64 = 3.5;
    const MOST: i32 = 4;
    let is_free = |y: f64| {
        let mut others = taken.iter();
        others.all(|(other, from, to)| (other - y).abs() >= APART || *to < left || right < *from)
    };
    let offsets = (0..=MOST).flat_map(|step| [step, -step]);
    let mut heights = offsets.map(|step| y + f64::from(step) * APART);
    let found = heights.find(|y| is_free(*y))?;
    taken.push((found, left, right));
    Some(found)
}

fn bottom(plan: &Plan, tops: &[f64]) -> f64 {
    let last = tops.len().saturating_sub(1);
    tops.last().copied().unwrap_or_default() + plan.row_height(last)
}

/// The points of a route inside its first pane, and its end.
fn ends(plan: &Plan, route: &Route, tops: &[f64]) -> Option<(Vec<Point>, Point)> {
    let (from, to) = (route.arrow.from, route.arrow.to);
    let (at, track) = plan.slot(from.pane, from.slot, tops)?;
    let begin = match from.slot {
        Slot::Column(column) => {
            let row = column / plan.columns;
            let order = routes::order_out(&plan.routes, from.pane, plan.columns, row);
            let place = order.iter().position(|of| *of == route).unwrap_or_default();
            let y = track + place as f64 * TRACK;
            // Several arrows of one column do not begin at the same place.
            let same = order.iter().filter(|of| of.arrow.from == from);
            let (count, own) = (
                same.clone().count(),
                same.take_while(|of| **of != route).count(),
            );
            let x = at.x + (own as f64 - (count as f64 - 1.0) / 2.0) * TRACK;
            vec![Point { x, y: at.y + 2.0 }, Point { x, y }]
        }
        Slot::Shared(_) | Slot::Lane(..) => {
            let area = plan.area(from.pane, tops);
            let x = if route.leaves_right() {
                area.right() - PAD
            } else {
                area.x + PAD
            };
            vec![Point { x, y: at.y }]
        }
    };
    let (at, _) = plan.slot(to.pane, to.slot, tops)?;
    let area = plan.area(to.pane, tops);
    let x = if route.arrives_right() {
        area.right() - PAD
    } else {
        area.x + PAD
    };
    Some((begin, Point { x, y: at.y }))
}

/// Of each arrow the places of its upright lines, in the gap by which it leaves and in the one by which it arrives.
fn upright(plan: &Plan, starts: &[(&Route, Vec<Point>, Point)]) -> Vec<(f64, f64)> {
    let mut places = vec![(0.0, 0.0); starts.len()];
    for gap in 0..=plan.grid.columns {
        // The arrow whose line is here, and whether it is the line's last part.
        let mut lines: Vec<(usize, bool)> = Vec::new();
        for (index, (route, ..)) in starts.iter().enumerate() {
            if route.out == gap {
                lines.push((index, false));
            }
            if route.across.is_some() && route.into == gap {
                lines.push((index, true));
            }
        }
        lines.sort_by_key(|(index, is_arriving)| {
            let (route, begin, end) = &starts[*index];
            let y = begin.last().map_or(0.0, |point| point.y);
            // The order in which lines that turn the same way do not cross.
            let is_lower_first = route.leaves_right() == (end.y > y);
            let order = if is_lower_first { -y } else { y };
            (*is_arriving, !route.leaves_right(), order as i64)
        });
        let right = plan.lefts.get(gap).copied().unwrap_or(plan.width);
        let left = match gap {
            0 => 0.0,
            gap => plan.lefts[gap - 1] + plan.pane_width,
        };
        let middle = if gap == plan.grid.columns {
            left + 12.0 + TRACK * lines.len() as f64 / 2.0
        } else {
            left.midpoint(right)
        };
        let first = middle - (lines.len() as f64 - 1.0) / 2.0 * TRACK;
        for (track, (index, is_arriving)) in lines.into_iter().enumerate() {
            let x = first + track as f64 * TRACK;
            let place = &mut places[index];
            if is_arriving {
                place.1 = x
            } else {
                place.0 = x
            }
        }
    }
    places
}
