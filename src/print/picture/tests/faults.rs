//! What can be wrong with a layout: overlaps, text that leaves its box, lines through boxes and lines that lie on each other.

use crate::print::picture::layout::Layout;
use crate::print::picture::marks::{Anchor, Area, Mark, Point};

/// All marks with the group that each is in, from the outermost in.
fn flat<'a>(marks: &'a [Mark], group: usize, next: &mut usize, out: &mut Vec<(usize, &'a Mark)>) {
    for mark in marks {
        match mark {
            Mark::Group { marks, .. } => {
                *next += 1;
                flat(marks, *next, next, out);
            }
            mark => out.push((group, mark)),
        }
    }
}

/// The area that a text takes at most.
fn text_area(mark: &Mark) -> Option<Area> {
    let Mark::Text {
        at,
        anchor,
        font,
        text,
        ..
    } = mark
    else {
        return None;
    };
    let width = font.width(text);
    let x = match anchor {
        Anchor::Start => at.x,
        Anchor::Middle => at.x - width / 2.0,
        Anchor::End => at.x - width,
    };
    Some(Area {
        x,
        y: at.y - 0.75 * font.size,
        width,
        height: 0.95 * font.size,
    })
}

fn overlap(one: Area, other: Area) -> bool {
    const TOUCH: f64 = 0.01;
    one.x + TOUCH < other.right()
        && other.x + TOUCH < one.right()
        && one.y + TOUCH < other.bottom()
        && other.y + TOUCH < one.bottom()
}

fn holds(outer: Area, inner: Area) -> bool {
    const TOUCH: f64 = 0.01;
    inner.x >= outer.x - TOUCH
        && inner.right() <= outer.right() + TOUCH
        && inner.y >= outer.y - TOUCH
        && inner.bottom() <= outer.bottom() + TOUCH
}

/// The boxes of panes, and those of GPUs and processes.
fn boxes(all: &[(usize, &Mark)]) -> (Vec<Area>, Vec<(usize, Area)>) {
    let (mut panes, mut inner) = (Vec::new(), Vec::new());
    for (group, mark) in all {
        let Mark::Box { area, classes, .. } = mark else {
            continue;
        };
        match classes.split(' ').next() {
            Some("pane") => panes.push(*area),
            Some("gpu" | "chip") if area.width > 20.0 => inner.push((*group, *area)),
            _ => {}
        }
    }
    (panes, inner)
}

fn segments(points: &[Point]) -> impl Iterator<Item = Area> {
    points.windows(2).map(|pair| Area {
        x: pair[0].x.min(pair[1].x),
        y: pair[0].y.min(pair[1].y),
        width: (pair[0].x - pair[1].x).abs(),
        height: (pair[0].y - pair[1].y).abs(),
    })
}

/// What is wrong with a layout.
pub(super) fn faults(layout: &Layout) -> Vec<String> {
    let mut all = Vec::new();
    flat(&layout.marks, 0, &mut 0, &mut all);
    let (panes, inner) = boxes(&all);
    let page = Area {
        x: 0.0,
        y: 0.0,
        width: layout.width,
        height: layout.height,
    };
    let mut faults = Vec::new();
    for (at, pane) in panes.iter().enumerate() {
        if !holds(page, *pane) || panes[..at].iter().any(|other| overlap(*pane, *other)) {
            faults.push(format!("pane {pane:?}"));
        }
    }
    for (at, (_, area)) in inner.iter().enumerate() {
        let homes = panes.iter().filter(|pane| holds(**pane, *area)).count();
        if homes != 1 || inner[..at].iter().any(|(_, other)| overlap(*area, *other)) {
            faults.push(format!("box {area:?} in {homes} panes"));
        }
    }
    let texts: Vec<(usize, Area, &Mark)> = all
        .iter()
        .filter_map(|(group, mark)| Some((*group, text_area(mark)?, *mark)))
        .collect();
    for (at, (group, area, mark)) in texts.iter().enumerate() {
        let own = inner.iter().find(|(of, _)| *group > 0 && of == group);
        if !holds(own.map_or(page, |(_, own)| *own), *area)
            || texts[..at]
                .iter()
                .any(|(_, other, _)| overlap(*area, *other))
        {
            faults.push(format!("text {mark:?}"));
        }
    }
    let arrows: Vec<&Vec<Point>> = all
        .iter()
        .filter_map(|(_, mark)| {
            if let Mark::Arrow { points, .. } = mark {
                Some(points)
            } else {
                None
            }
        })
        .collect();
    for (at, points) in arrows.iter().enumerate() {
        for line in segments(points) {
            let thin = |area: Area| Area {
                x: area.x - 0.5,
                y: area.y - 0.5,
                width: area.width + 1.0,
                height: area.height + 1.0,
            };
            let is_through = |area: &Area| {
                overlap(
                    line,
                    Area {
                        x: area.x + 1.0,
                        y: area.y + 1.0,
                        width: area.width - 2.0,
                        height: area.height - 2.0,
                    },
                )
            };
            if !holds(page, line)
                || inner.iter().any(|(_, area)| is_through(area))
                || texts.iter().any(|(_, area, _)| overlap(line, *area))
            {
                faults.push(format!("line {line:?} of {points:?}"));
            }
            let is_along = |other: Area| {
                overlap(thin(line), thin(other))
                    && (line.width > 1.0) == (other.width > 1.0)
                    && line.width.max(line.height) > 3.0
            };
            if arrows[..at]
                .iter()
                .any(|other| segments(other).any(is_along))
            {
                faults.push(format!("shared line {line:?} of {points:?}"));
            }
        }
    }
    faults
}
