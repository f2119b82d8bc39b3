//! How the screen looks: colours, or bold and underlined text instead of them, and letters that every terminal has.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::document::Finding;
use crate::words::{Severity, Verdict, Word};

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// Whether to use colour. Colour never carries information alone.
    pub(crate) color: bool,
    /// Whether only the letters of ASCII can be shown.
    pub(crate) ascii: bool,
}

impl Look {
    fn colored(self, color: Color) -> Style {
        match self.color {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    /// A verdict.
    pub(crate) fn verdict(self, verdict: Option<&Word<Verdict>>) -> Style {
        match verdict.and_then(Word::known) {
            Some(Verdict::Ok | Verdict::SingleNode) => self.colored(Color::Green),
            Some(Verdict::AtRisk) => self.colored(Color::Yellow),
            Some(Verdict::Unknown) => self.colored(Color::Magenta),
            Some(Verdict::Mismatch) => self.colored(Color::Red).add_modifier(Modifier::BOLD),
            None => Style::new(),
        }
    }

    /// The first words of a finding.
    pub(crate) fn severity(self, finding: &Finding) -> Style {
        match finding.severity.known() {
            Some(Severity::Error) => self.colored(Color::Red).add_modifier(Modifier::BOLD),
            Some(Severity::Warning) => self.colored(Color::Yellow),
            Some(Severity::Info) | None => Style::new(),
        }
    }

    /// The bar above a list.
    pub(crate) fn bar(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::Black).bg(Color::Gray),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The selected row.
    pub(crate) fn selected(self) -> Style {
        match self.color {
            true => Style::new().fg(Color::Black).bg(Color::Cyan),
            false => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// What changed a moment ago.
    pub(crate) fn changed(self) -> Style {
        let marks = Modifier::BOLD | Modifier::UNDERLINED;
        self.colored(Color::Cyan).add_modifier(marks)
    }

    /// Headings.
    pub(crate) fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is less important.
    pub(crate) fn quiet(self) -> Style {
        self.colored(Color::DarkGray)
    }

    /// What needs attention and is no verdict.
    pub(crate) fn alarm(self) -> Style {
        self.colored(Color::Red)
            .add_modifier(Modifier::BOLD | Modifier::REVERSED)
    }

    /// A part of a bar: memory of the node's own GPUs, or of others.
    pub(crate) fn share(self, is_local: bool) -> Style {
        self.colored(if is_local { Color::Green } else { Color::Red })
    }

    /// Replaces letters that the terminal does not have.
    pub(crate) fn translate(self, buffer: &mut Buffer) {
        if !self.ascii {
            return;
        }
        for cell in &mut buffer.content {
            if !cell.symbol().is_ascii() {
                let letter = cell.symbol().chars().next().map_or('?', plain);
                cell.set_char(letter);
            }
        }
    }
}

/// The nearest letter of ASCII.
fn plain(letter: char) -> char {
    match letter {
        '×' => 'x',
        '≤' => '<',
        '…' => '~',
        '→' => '>',
        '█' => '#',
        '▒' => '!',
        '·' | '─' | '–' => '-',
        '│' => '|',
        '↑' => '^',
        '↓' => 'v',
        _ => '?',
    }
}
