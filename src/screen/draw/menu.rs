//! The menu of the columns to sort by.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Clear, Paragraph, Widget};

use super::lines::{put, row_of};
use crate::screen::layout::areas;
use crate::screen::look::Look;
use crate::screen::state::State;

/// The columns to sort by, over the rows.
pub(super) fn draw_columns(state: &State, at: usize, look: Look, buffer: &mut Buffer) {
    let headers = std::iter::once("as the audit").chain(state.list.headers.iter().copied());
    let lines = headers.enumerate().map(|(number, header)| {
        let is_used = state
            .choice
            .order
            .map_or(number == 0, |order| order.header == header);
        let mark = if is_used { "*" } else { " " };
        let text = format!(" {mark} {header:<16}│");
        match number == at {
            true => Line::styled(text, look.selected()),
            false => Line::raw(text),
        }
    });
    let lines: Vec<Line> = lines.collect();
    let room = areas(state).headers.y..buffer.area.bottom().saturating_sub(1);
    let height = room.end.saturating_sub(room.start + 1);
    let top = (at + 1).saturating_sub(usize::from(height));
    let height = height.min(u16::try_from(lines.len()).unwrap_or(u16::MAX));
    // Two blanks, the mark, the longest header and the line.
    let area = Rect::new(0, room.start, 20, height + 1).intersection(buffer.area);
    Clear.render(area, buffer);
    buffer.set_style(row_of(area, 0), look.bar());
    put(buffer, area, 0, &Line::raw(" Sort by"));
    let list = Rect {
        y: area.y + 1,
        height,
        ..area
    };
    let shown: Vec<Line> = lines.into_iter().skip(top).collect();
    Paragraph::new(Text::from(shown)).render(list.intersection(buffer.area), buffer);
}
