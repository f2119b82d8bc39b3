//! Draws the state.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Clear, Paragraph, Widget};

use crate::document::Document;
use crate::print::{harmless, head};
use crate::screen::bars::bars;
use crate::screen::changes::key;
use crate::screen::explained::listed;
use crate::screen::frame::{Cover, ago, cover, sentence, sums};
use crate::screen::layout::{Areas, LEAST, areas, is_too_small, lines_of_a_finding};
use crate::screen::list::{List, ListRow, ProcessRow};
use crate::screen::look::Look;
use crate::screen::state::{Pane, State, View};
use crate::units::length;

/// Fills the buffer, which has the size of the state.
pub(crate) fn draw(state: &State, look: Look, buffer: &mut Buffer) {
    let areas = areas(state);
    if is_too_small(state.size) {
        let text = format!(
            "Too small: {}x{}, needs {}x{}",
            state.size.0, state.size.1, LEAST.0, LEAST.1
        );
        put(buffer, buffer.area, 0, &Line::raw(text));
    } else if let Some(cover) = cover(state, look) {
        draw_cover(state, &cover, look, buffer);
    } else {
        draw_head(state, areas.head, look, buffer);
        draw_rows(state, &areas, look, buffer);
        draw_findings(state, &areas, look, buffer);
        draw_change(state, areas.change, look, buffer);
        draw_footer(state, areas.footer, look, buffer);
        if let View::Columns(at) = state.view {
            draw_columns(state, at, look, buffer);
        }
    }
    look.translate(buffer);
}

/// A line at this place of an area, cut where it is too long.
fn put(buffer: &mut Buffer, area: Rect, line: usize, text: &Line) {
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
fn put_both(buffer: &mut Buffer, area: Rect, left: &Line, right: &Line) {
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

fn row_of(area: Rect, line: u16) -> Rect {
    Rect {
        y: area.y.saturating_add(line),
        height: 1,
        ..area
    }
    .intersection(area)
}

fn draw_head(state: &State, area: Rect, look: Look, buffer: &mut Buffer) {
    let status = status(state, look);
    let Some(document) = state.document() else {
        let text = state
            .trouble
            .as_deref()
            .map_or("Reading …".to_owned(), harmless);
        put_both(buffer, row_of(area, 0), &Line::raw("numa-audit"), &status);
        put(buffer, area, 1, &Line::raw(text));
        return;
    };
    put_both(
        buffer,
        row_of(area, 0),
        &Line::raw(head(&document.host)),
        &status,
    );
    let verdict = document.summary.as_ref().map(|summary| &summary.verdict);
    let result = match &state.trouble {
        Some(trouble) => Line::styled(format!("No answer: {trouble}"), look.alarm()),
        None => Line::styled(
            sentence(document),
            look.verdict(verdict).add_modifier(Modifier::BOLD),
        ),
    };
    put(buffer, area, 1, &result);
    put(buffer, area, 2, &Line::raw(sums(document)));
    let nodes = areas(state).nodes;
    for (at, line) in bars(document, nodes.width, usize::from(nodes.height), look)
        .iter()
        .enumerate()
    {
        put(buffer, nodes, at, line);
    }
}

/// Whether the screen lives, and how old its data are.
fn status(state: &State, look: Look) -> Line<'static> {
    let age = state.age();
    match (state.options.is_recording, state.audited.is_some()) {
        (true, _) => Line::styled("recording", look.quiet()),
        (false, false) => Line::raw(""),
        _ if state.is_paused => Line::styled(format!("PAUSED, {}", ago(age)), look.alarm()),
        _ if state.is_late() => Line::styled(format!("last answer {}", ago(age)), look.alarm()),
        _ => Line::styled(
            format!("every {}, {}", length(state.options.every), ago(age)),
            look.quiet(),
        ),
    }
}

fn draw_rows(state: &State, areas: &Areas, look: Look, buffer: &mut Buffer) {
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

fn draw_findings(state: &State, areas: &Areas, look: Look, buffer: &mut Buffer) {
    let Some(document) = state.document() else {
        return;
    };
    let (area, count) = (areas.findings, document.findings.len());
    if area.height == 0 {
        return;
    }
    let room = usize::from(area.height);
    let most = lines_of_a_finding(state);
    // With more than one line each all of them fit.
    let top = match most {
        1 => (state.finding + 1).saturating_sub(room),
        _ => 0,
    };
    buffer.set_style(areas.findings_title, look.bar());
    let shown = match count <= room {
        true => format!("  FINDINGS  {count}"),
        false => format!(
            "  FINDINGS  {}-{} of {count}",
            top + 1,
            (top + room).min(count)
        ),
    };
    put(buffer, areas.findings_title, 0, &Line::raw(shown));
    let mut line = 0;
    for (at, finding) in document.findings.iter().enumerate().skip(top) {
        let is_selected = at == state.finding && state.pane == Pane::Findings;
        let width = area.width.saturating_sub(List::GUTTER);
        let mut lines = listed(finding, width);
        if lines.len() > most {
            // The last line is the rest, which is cut at the end of the screen.
            let rest = lines.split_off(most - 1);
            let rest: Vec<&str> = rest.iter().map(|line| line.trim_start()).collect();
            let indent = if most > 1 { "  " } else { "" };
            lines.push(format!("{indent}{}", rest.join(" ")));
        }
        for (number, text) in lines.into_iter().enumerate() {
            let mark = if is_selected && number == 0 {
                "> "
            } else {
                "  "
            };
            // The mark of a finding has no blank.
            let (word, rest) = match number {
                0 => text.split_at(text.find(' ').unwrap_or(text.len())),
                _ => ("", text.as_str()),
            };
            let spans = vec![
                Span::raw(mark),
                Span::styled(word.to_owned(), look.severity(finding)),
                Span::raw(rest.to_owned()),
            ];
            put(buffer, area, line, &Line::from(spans));
            if is_selected {
                let line = u16::try_from(line).unwrap_or(u16::MAX);
                buffer.set_style(row_of(area, line), look.selected());
            }
            line += 1;
        }
    }
}

fn draw_change(state: &State, area: Rect, look: Look, buffer: &mut Buffer) {
    let Some((at, text)) = state.log.front() else {
        return;
    };
    let age = state.now.saturating_sub(*at);
    let style = match age < state.mark_length() {
        true => Style::new(),
        false => look.quiet(),
    };
    let more = state
        .log
        .iter()
        .take_while(|(other, _)| other == at)
        .count()
        - 1;
    let more = match more {
        0 => String::new(),
        more => format!(" (and {more} more: c)"),
    };
    let text = format!("* {}: {text}{more}", ago(age));
    put(buffer, area, 0, &Line::styled(text, style));
}

const MAIN_KEYS: &[(&str, &str)] = &[
    ("?", "Help"),
    ("Enter", "Open"),
    ("Tab", "Findings"),
    ("/", "Filter"),
    ("s", "Sort"),
    ("p", "Pause"),
    ("q", "Quit"),
    ("a", "All rows"),
    ("c", "Changes"),
];

const COVER_KEYS: &[(&str, &str)] = &[
    ("Esc", "Back"),
    ("arrows", "Scroll"),
    ("left right", "Others"),
    ("?", "Help"),
];

fn draw_footer(state: &State, area: Rect, look: Look, buffer: &mut Buffer) {
    if state.typing.is_some() {
        let text = format!("Filter: {}_", harmless(&state.choice.filter));
        let keys = Line::styled("Enter: keep  Esc: undo", look.quiet());
        put_both(buffer, area, &Line::raw(text), &keys);
        return;
    }
    let filter = match state.choice.filter.as_str() {
        "" => String::new(),
        filter => format!(" filter: {} ", harmless(filter)),
    };
    let rows = state
        .list
        .rows
        .iter()
        .filter(|row| row.first().is_some())
        .count();
    let place = state
        .list
        .rows
        .iter()
        .take(state.at + 1)
        .filter(|row| row.first().is_some())
        .count();
    let place = Line::from(vec![
        Span::styled(filter, look.changed()),
        Span::styled(format!(" {place}/{rows}"), look.quiet()),
    ]);
    put_both(buffer, area, &keys(MAIN_KEYS, look), &place);
}

fn keys(keys: &[(&str, &str)], look: Look) -> Line<'static> {
    let spans = keys.iter().flat_map(|(key, what)| {
        [
            Span::styled((*key).to_owned(), look.heading()),
            Span::raw(format!(" {what}  ")),
        ]
    });
    Line::from(spans.collect::<Vec<_>>())
}

fn draw_cover(state: &State, cover: &Cover, look: Look, buffer: &mut Buffer) {
    let area = buffer.area;
    buffer.set_style(row_of(area, 0), look.bar());
    let room = usize::from(area.height.saturating_sub(2));
    let last = (state.scroll + room).min(cover.lines.len());
    let place = match cover.lines.len() > room {
        true => format!("{}-{last} of {}", state.scroll + 1, cover.lines.len()),
        false => String::new(),
    };
    put_both(
        buffer,
        row_of(area, 0),
        &Line::raw(cover.title.clone()),
        &Line::raw(place),
    );
    let text = Rect {
        y: 1,
        height: area.height.saturating_sub(2),
        ..area
    };
    for (at, line) in cover.lines.iter().skip(state.scroll).enumerate() {
        put(buffer, text, at, line);
    }
    put_both(
        buffer,
        row_of(area, area.height - 1),
        &keys(COVER_KEYS, look),
        &status(state, look),
    );
}

/// The columns to sort by, over the rows.
fn draw_columns(state: &State, at: usize, look: Look, buffer: &mut Buffer) {
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
