//! The layout as SVG.

use maud::{Markup, Render, html};

use crate::print::picture::look::Look;
use crate::print::picture::marks::{Anchor, Mark, Point};

/// The marks as elements.
pub(super) fn elements(marks: &[Mark]) -> Markup {
    html! {
        @for mark in marks { (element(mark)) }
    }
}

fn element(mark: &Mark) -> Markup {
    match mark {
        Mark::Box {
            area,
            round,
            classes,
        } => html! {
            rect class=(prefixed(classes)) x=(Number(area.x)) y=(Number(area.y)) width=(Number(area.width))
                height=(Number(area.height)) rx=(Number(*round)) {}
        },
        Mark::Text {
            at,
            anchor,
            font,
            class,
            text,
        } => html! {
            text class={ "pic-" (class) @if font.is_bold { " pic-bold" } } x=(Number(at.x)) y=(Number(at.y))
                font-size=(Number(font.size)) text-anchor=[word(*anchor)] { (text) }
        },
        Mark::Symbol { at, look } => symbol(*at, *look),
        Mark::Arrow { points, classes } => arrow(points, classes),
        Mark::Group { tip, marks } => html! {
            g {
                @if !tip.is_empty() { title { (tip) } }
                (elements(marks))
            }
        },
    }
}

/// `None` for the one that is meant without a word.
fn word(anchor: Anchor) -> Option<&'static str> {
    match anchor {
        Anchor::Start => None,
        Anchor::Middle => Some("middle"),
        Anchor::End => Some("end"),
    }
}

fn prefixed(classes: &str) -> String {
    let classes = classes.split(' ').map(|class| format!("pic-{class}"));
    classes.collect::<Vec<_>>().join(" ")
}

/// A verdict as a shape, so that it can be recognised without its colour.
fn symbol(at: Point, look: Look) -> Markup {
    let transform = format!("translate({} {})", Number(at.x).text(), Number(at.y).text());
    let class = format!("pic-sign pic-{}", look.class());
    html! {
        g class=(class) transform=(transform) {
            @match look {
                Look::Fine | Look::Single => {
                    circle r="7" {}
                    path d=(if look == Look::Fine { "M-3.2 0.2 L-0.8 2.8 L3.4 -2.6" } else { "M-3 0 H3" }) {}
                },
                Look::AtRisk => {
                    path class="pic-shape" d="M0 -7.5 L7.8 6.5 H-7.8 Z" {}
                    path d="M0 -2.6 V1.6 M0 3.9 V4.3" {}
                },
                Look::Wrong => {
                    rect x="-7" y="-7" width="14" height="14" rx="2" {}
                    path d="M-3 -3 L3 3 M3 -3 L-3 3" {}
                },
                Look::Unknown => {
                    circle r="7" {}
                    path d="M-2.2 -1.6 A2.3 2.3 0 1 1 0.6 0.4 Q0 0.7 0 1.6 M0 3.8 V4.1" {}
                },
                Look::Plain => {},
            }
        }
    }
}

/// A line with rounded turns, and its head.
fn arrow(points: &[Point], classes: &str) -> Markup {
    const HEAD: f64 = 8.0;
    let [.., before, end] = points else {
        return html! {};
    };
    let direction = if end.x >= before.x { 1.0 } else { -1.0 };
    let neck = end.x - direction * HEAD;
    let mut line = points.to_vec();
    if let Some(last) = line.last_mut() {
        last.x = neck + direction;
    }
    let path: Vec<String> = line
        .iter()
        .enumerate()
        .map(|(at, point)| {
            let command = if at == 0 { 'M' } else { 'L' };
            format!(
                "{command}{} {}",
                Number(point.x).text(),
                Number(point.y).text()
            )
        })
        .collect();
    let (x, y) = (Number(end.x).text(), end.y);
    let head = format!(
        "M{x} {} L{neck} {} V{} Z",
        Number(y).text(),
        Number(y - 5.0).text(),
        Number(y + 5.0).text(),
        neck = Number(neck).text(),
    );
    html! {
        g class=(prefixed(classes)) {
            path class="pic-line" d=(path.join(" ")) {}
            path class="pic-head" d=(head) {}
        }
    }
}

/// A number with one digit after the point at most.
struct Number(f64);

impl Number {
    fn text(&self) -> String {
        let tenths = (self.0 * 10.0).round() / 10.0;
        format!("{tenths}")
    }
}

impl Render for Number {
    fn render(&self) -> Markup {
        maud::PreEscaped(self.text())
    }
}
