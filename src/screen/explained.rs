//! A finding: its sentence, what would fix it, and the explanation of its rule.

use ratatui::text::Line;

use crate::document::Finding;
use crate::print::{Terminal, harmless};
use crate::screen::look::Look;
use crate::screen::state::State;

/// The title and the lines of the finding at this place.
pub(crate) fn finding(state: &State, at: usize, look: Look) -> (String, Vec<Line<'static>>) {
    let findings = state.document().map(|document| &document.findings);
    let Some(finding) = findings.and_then(|findings| findings.get(at)) else {
        return ("A finding".to_owned(), vec![Line::raw("It is gone.")]);
    };
    let title = format!("Finding {} of {}", at + 1, state.findings());
    let width = state.size.0;
    let mut lines = told(finding, width, look);
    let rule = state
        .options
        .rules
        .iter()
        .find(|rule| rule.name == finding.rule);
    for paragraph in rule.iter().flat_map(|rule| &rule.explanation) {
        lines.push(Line::raw(""));
        lines.extend(wrapped("", paragraph, 0, width));
    }
    if !finding.evidence.is_empty() {
        lines.extend([Line::raw(""), Line::styled("Evidence", look.heading())]);
    }
    for (name, value) in &finding.evidence {
        let text = harmless(&format!("{name}: {value}"));
        lines.extend(wrapped("  ", &text, 4, width));
    }
    (title, lines)
}

/// The finding in its list: `error[cpu-remote] GPU and CPU ...`, in as many lines as it needs.
pub(crate) fn listed(finding: &Finding, width: u16) -> Vec<String> {
    let mark = harmless(&format!("{}[{}] ", finding.severity, finding.rule));
    let terminal = Terminal {
        width,
        color: false,
    };
    let text = terminal.wrap(&mark, &harmless(&finding.message), 2);
    text.lines().map(str::to_owned).collect()
}

/// The finding itself with its fix and commands.
pub(crate) fn told(finding: &Finding, width: u16, look: Look) -> Vec<Line<'static>> {
    let mark = harmless(&format!("{}[{}]: ", finding.severity, finding.rule));
    let text = wrapped(&mark, &harmless(&finding.message), 2, width);
    let mut lines: Vec<Line> = text
        .into_iter()
        .map(|line| line.style(look.severity(finding)))
        .collect();
    if !finding.fix().is_empty() {
        lines.extend(wrapped("  fix: ", &harmless(finding.fix()), 4, width));
    }
    let commands = finding.commands.iter();
    lines.extend(
        commands.flat_map(|command| cut(&format!("  run now: {}", harmless(command)), width)),
    );
    if let Some(note) = &finding.note {
        lines.extend(wrapped("  note: ", &harmless(note), 4, width));
    }
    lines
}

/// A command in lines that are as wide as the screen: all of it can be seen, and the lines together are the command.
fn cut(command: &str, width: u16) -> Vec<Line<'static>> {
    let letters: Vec<char> = command.chars().collect();
    let lines = letters.chunks(usize::from(width).max(1));
    lines
        .map(|line| Line::raw(line.iter().collect::<String>()))
        .collect()
}

/// Text in lines of this width; the later ones are indented.
pub(crate) fn wrapped(first: &str, text: &str, indent: usize, width: u16) -> Vec<Line<'static>> {
    let terminal = Terminal {
        width,
        color: false,
    };
    let text = terminal.wrap(first, text, indent);
    text.lines()
        .map(|line| Line::raw(line.to_owned()))
        .collect()
}
