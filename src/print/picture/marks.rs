//! What is drawn: boxes, texts, symbols and lines at their places, in pixels.

use crate::print::picture::look::Look;
use crate::print::picture::text::Font;

/// A place, from the left and from the top.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
}

/// An upright rectangle.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn right(self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(self) -> f64 {
        self.y + self.height
    }

    fn moved(self, by: Point) -> Self {
        let (x, y) = (self.x + by.x, self.y + by.y);
        Self { x, y, ..self }
    }
}

/// At which end a text is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing that is drawn. Its classes are those of the stylesheets, without their prefix.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    Box {
        area: Area,
        round: f64,
        classes: String,
    },
    Text {
        at: Point,
        anchor: Anchor,
        font: Font,
        class: &'static str,
        text: String,
    },
    /// A symbol around this place.
    Symbol { at: Point, look: Look },
    /// A line with right angles and an arrowhead at its end.
    Arrow { points: Vec<Point>, classes: String },
    /// Marks that belong together, with a text for a reader who points at them.
    Group { tip: String, marks: Vec<Mark> },
}

impl Mark {
    pub(super) fn moved(self, by: Point) -> Self {
        let moved = |at: Point| Point {
            x: at.x + by.x,
            y: at.y + by.y,
        };
        match self {
            Self::Box {
                area,
                round,
                classes,
            } => Self::Box {
                area: area.moved(by),
                round,
                classes,
            },
            Self::Text {
                at,
                anchor,
                font,
                class,
                text,
            } => Self::Text {
                at: moved(at),
                anchor,
                font,
                class,
                text,
            },
            Self::Symbol { at, look } => Self::Symbol {
                at: moved(at),
                look,
            },
            Self::Arrow { points, classes } => Self::Arrow {
                points: points.into_iter().map(moved).collect(),
                classes,
            },
            Self::Group { tip, marks } => Self::Group {
                tip,
                marks: marks.into_iter().map(|mark| mark.moved(by)).collect(),
            },
        }
    }
}

/// Marks in the order in which they are drawn.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) marks: Vec<Mark>,
}

impl Sheet {
    pub(super) fn area(&mut self, area: Area, round: f64, classes: impl Into<String>) {
        let classes = classes.into();
        self.marks.push(Mark::Box {
            area,
            round,
            classes,
        });
    }

    /// A text that has this room at most. Returns how wide it may be drawn.
    pub(super) fn text(
        &mut self,
        at: Point,
        anchor: Anchor,
        style: (Font, &'static str),
        text: &str,
        room: f64,
    ) -> f64 {
        let (font, class) = style;
        let text = font.fit(text, room);
        let width = font.width(&text);
        if !text.is_empty() {
            self.marks.push(Mark::Text {
                at,
                anchor,
                font,
                class,
                text,
            });
        }
        width
    }

    pub(super) fn symbol(&mut self, x: f64, y: f64, look: Look) {
        let at = Point { x, y };
        self.marks.push(Mark::Symbol { at, look });
    }

    /// What `draw` draws, as one group.
    pub(super) fn group(&mut self, tip: &str, draw: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        draw(&mut inner);
        self.marks.push(Mark::Group {
            tip: tip.to_owned(),
            marks: inner.marks,
        });
    }
}
