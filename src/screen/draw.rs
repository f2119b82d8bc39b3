//! Draws the state.

mod findings;
mod lines;
mod menu;
mod rows;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use crate::print::{harmless, head};
use crate::screen::bars::bars;
use crate::screen::frame::{Cover, ago, cover, sentence, sums};
use crate::screen::layout::{LEAST, areas, is_too_small};
use crate::screen::look::Look;
use crate::screen::state::{State, View};
use crate::units::length;
use findings::draw_findings;
use lines::{put, put_both, row_of};
use menu::draw_columns;
use rows::draw_rows;

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
