//! The rows of the processes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::lines::put;
use crate::document::Document;
use crate::print::harmless;
use crate::screen::changes::key;
use crate::screen::layout::Areas;
use crate::screen::list::{List, ListRow, ProcessRow};
use crate::screen::look::Look;
use crate::screen::state::{Pane, State};

/// The headers of the columns and the rows below them.
pub(super) fn draw_rows(state: &State, areas: &Areas, look: Look, buffer: &mut Buffer) {
    buffer.set_style(areas.headers, look.bar());
    let mut x = areas.headers.x + List::GUTTER;
    for column in &state.list.columns {
        let order = state.choice.order;
        let order = order.filter(|order| order.header == column.header);
        let arrow = order.map_or("", |order| if order.is_descending { "↓" } else { "↑" });
        // At the bottom of the bar, as in the table.
        let first = usize::from(areas.headers.height).saturating_sub(column.lines.len());
        let room = Rect {
            x,
            // The arrow may stand in the blank before the next column.
            width: (column.width + 1).min(areas.headers.right().saturating_sub(x)),
            ..areas.headers
        };
        for (number, line) in column.lines.iter().enumerate() {
            let is_last = number + 1 == column.lines.len();
            let arrow = if is_last { arrow } else { "" };
            put(
                buffer,
                room,
                first + number,
                &Line::raw(format!("{line}{arrow}")),
            );
        }
        x = x.saturating_add(column.width + List::PADDING);
    }
    let Some(document) = state.document() else {
        return;
    };
    if state.list.rows.is_empty() {
        let text = match state.choice.filter.is_empty() {
            true => "No process to show.".to_owned(),
            false => format!(
                "No process contains \"{}\".",
                harmless(&state.choice.filter)
            ),
        };
        put(
            buffer,
            areas.rows,
            0,
            &Line::styled(format!("  {text}"), look.quiet()),
        );
    }
    let mut line = 0;
    for (at, row) in state.list.rows.iter().enumerate().skip(state.top) {
        if line >= usize::from(areas.rows.height) {
            break;
        }
        match row {
            ListRow::Heading(text) => put(
                buffer,
                areas.rows,
                line,
                &Line::styled((*text).to_owned(), look.heading()),
            ),
            ListRow::Processes(of) => {
                draw_row(state, document, of, (at, line), areas.rows, look, buffer)
            }
        }
        line += row.height();
    }
}

/// `(at, line)`: the place of the row, and the line where it begins.
fn draw_row(
    state: &State,
    document: &Document,
    row: &ProcessRow,
    (at, line): (usize, usize),
    area: Rect,
    look: Look,
    buffer: &mut Buffer,
) {
    let members = row
        .members
        .iter()
        .filter_map(|at| document.processes().get(*at));
    let members: Vec<_> = members.collect();
    let is_selected = at == state.at && state.pane == Pane::Processes;
    let is_marked = |header: &str| members.iter().any(|of| state.is_marked(key(of), header));
    let has_mark = members.iter().any(|of| {
        state.marks.get(&key(of)).is_some_and(|headers| {
            headers
                .keys()
                .any(|header| state.is_marked(key(of), header))
        })
    });
    let selected = if at == state.at { ">" } else { " " };
    let mark = if has_mark { "*" } else { " " };
    put(buffer, area, line, &Line::raw(format!("{selected}{mark}")));
    let mut x = area.x + List::GUTTER;
    for (column, cell) in state.list.columns.iter().zip(&row.cells) {
        let mut style = match column.header {
            "VERDICT" => look.verdict(members.first().and_then(|of| of.verdict.as_ref())),
            _ => Style::new(),
        };
        if is_marked(column.header) {
            style = style.patch(look.changed());
        }
        let room = Rect {
            x,
            width: column.width.min(area.right().saturating_sub(x)),
            ..area
        };
        for (number, text) in cell.iter().enumerate() {
            put(
                buffer,
                room,
                line + number,
                &Line::styled(text.clone(), style),
            );
        }
        x = x.saturating_add(column.width + List::PADDING);
    }
    if is_selected {
        let height = row.cells.iter().map(Vec::len).max().unwrap_or(1);
        let first = u16::try_from(line).unwrap_or(u16::MAX);
        let lines = u16::try_from(height)
            .unwrap_or(u16::MAX)
            .min(area.height.saturating_sub(first));
        buffer.set_style(
            Rect {
                y: area.y + first,
                height: lines,
                ..area
            },
            look.selected(),
        );
    }
}
