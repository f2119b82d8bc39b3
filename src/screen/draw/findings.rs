//! The findings, the worst first.

use ratatui::buffer::Buffer;
use ratatui::text::{Line, Span};

use super::lines::{put, row_of};
use crate::screen::explained::listed;
use crate::screen::layout::{Areas, lines_of_a_finding};
use crate::screen::list::List;
use crate::screen::look::Look;
use crate::screen::state::{Pane, State};

/// The findings with their title.
pub(super) fn draw_findings(state: &State, areas: &Areas, look: Look, buffer: &mut Buffer) {
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
