//! Where the parts of the screen are.

use ratatui::layout::Rect;

use crate::screen::bars;
use crate::screen::state::State;

/// The parts from top to bottom. A part without room has no lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Areas {
    /// Host, result and counts.
    pub(crate) head: Rect,
    /// A line for each node.
    pub(crate) nodes: Rect,
    /// The headers of the columns.
    pub(crate) headers: Rect,
    pub(crate) rows: Rect,
    /// The line above the findings.
    pub(crate) findings_title: Rect,
    pub(crate) findings: Rect,
    /// The last change.
    pub(crate) change: Rect,
    pub(crate) footer: Rect,
}

/// A smaller terminal shows a sentence only.
pub(crate) const LEAST: (u16, u16) = (40, 8);

/// Whether the terminal is too small.
pub(crate) fn is_too_small(size: (u16, u16)) -> bool {
    size.0 < LEAST.0 || size.1 < LEAST.1
}

/// The parts of this state's screen.
pub(crate) fn areas(state: &State) -> Areas {
    let (width, height) = state.size;
    let mut next = 0;
    let mut part = |lines: u16| {
        let lines = lines.min(height.saturating_sub(next));
        let area = Rect::new(0, next, width, lines);
        next += lines;
        area
    };
    let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
    let nodes = match height {
        0..16 => 0,
        _ => count(bars::lines(state)).min(height / 6),
    };
    let findings = match (state.findings(), height) {
        (0, _) | (_, 0..12) => 0,
        (findings, _) => count(findings).min((height / 5).max(2)),
    };
    let title = u16::from(findings > 0);
    let change = u16::from(height >= 16 && !state.options.is_recording);
    let head = if height < 12 { 2 } else { 3 };
    let rest = head + nodes + 1 + title + findings + change + 1;
    Areas {
        head: part(head),
        nodes: part(nodes),
        headers: part(1),
        rows: part(height.saturating_sub(rest)),
        findings_title: part(title),
        findings: part(findings),
        change: part(change),
        footer: part(1),
    }
}

/// What a text that covers the screen has room for: all lines but the title and the footer.
pub(crate) fn page(state: &State) -> usize {
    usize::from(state.size.1.saturating_sub(2)).max(1)
}
