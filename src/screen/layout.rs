//! Where the parts of the screen are.

use ratatui::layout::Rect;

use crate::screen::bars;
use crate::screen::explained::listed;
use crate::screen::list::{List, ListRow};
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
    let nodes = match height {
        0..16 => 0,
        _ => count(bars::lines(state)).min(height / 6),
    };
    let change = u16::from(height >= 16 && !state.options.is_recording);
    let head = if height < 12 { 2 } else { 3 };
    let headers = state.list.header_height.clamp(1, 3);
    let used = head + nodes + headers + change + 1;
    let findings = findings(state, height.saturating_sub(used));
    let title = u16::from(findings > 0);
    Areas {
        head: part(head),
        nodes: part(nodes),
        headers: part(headers),
        rows: part(height.saturating_sub(used + title + findings)),
        findings_title: part(title),
        findings: part(findings),
        change: part(change),
        footer: part(1),
    }
}

/// The lines of the findings. They may have what the rows leave, and at least a fifth of the screen.
fn findings(state: &State, room: u16) -> u16 {
    let count_of_findings = count(state.findings());
    if count_of_findings == 0 || state.size.1 < 12 {
        return 0;
    }
    let rows: usize = state.list.rows.iter().map(ListRow::height).sum();
    let least = (state.size.1 / 5).max(2).min(count_of_findings);
    // One line is for the title, and a line stays empty.
    let left = room.saturating_sub(count(rows).saturating_add(2));
    let whole = state.document().map_or(0, |document| {
        let findings = document.findings.iter();
        let width = state.size.0.saturating_sub(List::GUTTER);
        findings.map(|finding| listed(finding, width).len()).sum()
    });
    count(whole).min(left).max(least)
}

/// How many lines each finding may have, so that all are shown; 1 where even that is too much.
pub(crate) fn lines_of_a_finding(state: &State) -> usize {
    let Some(document) = state.document() else {
        return 1;
    };
    let width = state.size.0.saturating_sub(List::GUTTER);
    let lines = document.findings.iter().map(|of| listed(of, width).len());
    let lines: Vec<usize> = lines.collect();
    let room = usize::from(areas(state).findings.height);
    let longest = lines.iter().copied().max().unwrap_or(1);
    let fits = |most: &usize| lines.iter().map(|of| of.min(most)).sum::<usize>() <= room;
    (1..=longest).rev().find(fits).unwrap_or(1)
}

fn count(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// What a text that covers the screen has room for: all lines but the title and the footer.
pub(crate) fn page(state: &State) -> usize {
    usize::from(state.size.1.saturating_sub(2)).max(1)
}
