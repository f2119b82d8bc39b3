//! Lines in an area.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// A line at this place of an area, cut where it is too long.
pub(super) fn put(buffer: &mut Buffer, area: Rect, line: usize, text: &Line) {
    let y = u16::try_from(line)
        .ok()
        .and_then(|line| area.y.checked_add(line));
    let Some(y) = y.filter(|y| *y < area.bottom()) else {
        return;
    };
    buffer.set_line(area.x, y, text, area.width);
    if text.width() > usize::from(area.width) && area.width > 0 {
        buffer[(area.right() - 1, y)].set_symbol("…");
    }
}

/// A line with a text at its right end, which is never cut.
pub(super) fn put_both(buffer: &mut Buffer, area: Rect, left: &Line, right: &Line) {
    let width = u16::try_from(right.width())
        .unwrap_or(u16::MAX)
        .min(area.width);
    let room = Rect {
        width: area.width.saturating_sub(width + 1),
        ..area
    };
    put(buffer, room, 0, left);
    buffer.set_line(area.right() - width, area.y, right, width);
}

pub(super) fn row_of(area: Rect, line: u16) -> Rect {
    Rect {
        y: area.y.saturating_add(line),
        height: 1,
        ..area
    }
    .intersection(area)
}
