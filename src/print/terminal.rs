//! What the terminal can do, and text that cannot act on it.

use std::ffi::OsStr;
use std::fmt::Write;

use comfy_table::{Cell, ContentArrangement, Table, presets};
use owo_colors::{OwoColorize, Style};

/// How wide to print, and whether in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// In columns.
    pub(crate) width: u16,
    /// Whether to use colour. Colour never carries information alone.
    pub(crate) color: bool,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What is known about the output.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Surroundings<'a> {
    /// Whether it is a terminal.
    pub(crate) is_terminal: bool,
    /// The width that the terminal reports.
    pub(crate) columns: Option<u16>,
    /// The environment's COLUMNS.
    pub(crate) columns_variable: Option<&'a OsStr>,
    /// NO_COLOR.
    pub(crate) no_color: Option<&'a OsStr>,
    /// TERM.
    pub(crate) term: Option<&'a OsStr>,
}

impl Terminal {
    /// The width where there is no terminal.
    const WIDTH: u16 = 100;
    /// Narrower text cannot be read.
    const NARROWEST: u16 = 50;

    /// Decides once for everything that is printed.
    pub(crate) fn new(choice: ColorChoice, around: Surroundings) -> Self {
        let auto = || {
            let no_color = around.no_color.is_some_and(|value| !value.is_empty());
            around.is_terminal && !no_color && around.term != Some(OsStr::new("dumb"))
        };
        let color = match choice {
            ColorChoice::Auto => auto(),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let variable = around.columns_variable.and_then(OsStr::to_str);
        let variable = variable.and_then(|columns| columns.parse().ok());
        // The terminal may have been resized since the variable was set.
        let width = around.columns.or(variable).unwrap_or(Self::WIDTH);
        Self {
            width: width.max(Self::NARROWEST),
            color,
        }
    }

    /// Blanks between the columns of a table: one on a narrow terminal.
    pub(crate) fn padding(&self) -> u16 {
        if self.width < Self::WIDTH { 1 } else { 2 }
    }

    /// `text` in this style, if in colour.
    pub(crate) fn paint(&self, text: &str, style: Style) -> String {
        match self.color {
            true => text.style(style).to_string(),
            false => text.to_owned(),
        }
    }

    /// An empty table of this width, without lines.
    pub(crate) fn table(&self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width)
            .set_header(header);
        let padding = (self.padding() - 1, 1);
        table.discover_columns();
        for column in table.column_iter_mut() {
            column.set_padding(padding);
        }
        match self.color {
            true => table.enforce_styling(),
            false => table.force_no_tty(),
        };
        table
    }

    /// `text` broken at blanks, and behind commas where a word is longer than a line; the lines after the first
    /// indented as far as `indent` says.
    pub(crate) fn wrap(&self, first: &str, text: &str, indent: usize) -> String {
        let width = usize::from(self.width);
        let mut out = String::from(first);
        let mut column = first.chars().count();
        for word in text.split_inclusive(' ') {
            let pieces: Vec<&str> = match word.chars().count() + indent > width {
                true => word.split_inclusive(',').collect(),
                false => vec![word],
            };
            for piece in pieces {
                let length = piece.trim_end().chars().count();
                if column > indent && column + length > width {
                    out.truncate(out.trim_end().len());
                    let _ = write!(out, "\n{:indent$}", "");
                    column = indent;
                }
                out.push_str(piece);
                column += piece.chars().count();
            }
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        out
    }
}

/// Whether the locale's letters are those of UTF-8. `variables` are LC_ALL, LC_CTYPE and LANG: the first one that is set
/// counts.
pub(crate) fn is_utf8(variables: [Option<&OsStr>; 3]) -> bool {
    let mut set = variables.into_iter().flatten();
    let locale = set.find(|value| !value.is_empty());
    let locale = locale.map(|value| value.to_string_lossy().to_ascii_lowercase());
    locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

/// Text from outside, made harmless: letters that would move the cursor, change colours or reorder the line are escaped.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            _ if letter.is_control() => out.extend(letter.escape_default()),
            _ if acts(letter) => out.extend(letter.escape_unicode()),
            _ => out.push(letter),
        }
    }
    out
}

/// Whether a letter is invisible and affects or hides among its neighbours: controls, Unicode's format characters and line
/// separators, and blanks other than the space; or a letter that XML does not allow.
pub(crate) fn acts(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{00AD}'
            | '\u{034F}'
            | '\u{0600}'..='\u{0605}'
            | '\u{061C}'
            | '\u{06DD}'
            | '\u{070F}'
            | '\u{115F}'..='\u{1160}'
            | '\u{17B4}'..='\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFFB}'
            | '\u{FFFE}'..='\u{FFFF}'
            | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}'
            | '\u{E0000}'..='\u{E0FFF}')
}

/// A table's cell with this text. comfy-table counts widths in 16 bits, so longer lines are cut.
pub(crate) fn cell(text: &str) -> Cell {
    const LONGEST: usize = 4096;
    let shortened = |line: &str| match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    };
    match text.len() {
        0..=LONGEST => Cell::new(text),
        _ => {
            let lines: Vec<String> = text.split('\n').map(shortened).collect();
            Cell::new(lines.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_is_used_on_terminals_that_do_not_refuse_it() {
        let terminal = Surroundings {
            is_terminal: true,
            ..Surroundings::default()
        };
        let color = |choice, around| Terminal::new(choice, around).color;
        assert!(color(ColorChoice::Auto, terminal));
        assert!(!color(ColorChoice::Auto, Surroundings::default()));
        assert!(color(ColorChoice::Always, Surroundings::default()));
        assert!(!color(ColorChoice::Never, terminal));
        let no_color = |value| Surroundings {
            no_color: Some(OsStr::new(value)),
            ..terminal
        };
        assert!(!color(ColorChoice::Auto, no_color("1")));
        assert!(
            color(ColorChoice::Auto, no_color("")),
            "empty is unset (no-color.org)"
        );
        assert!(
            color(ColorChoice::Always, no_color("1")),
            "asked for by name"
        );
        let dumb = Surroundings {
            term: Some(OsStr::new("dumb")),
            ..terminal
        };
        assert!(!color(ColorChoice::Auto, dumb));
    }

    #[test]
    fn the_first_variable_that_is_set_is_the_locale() {
        let is_utf8 =
            |variables: [&str; 3]| is_utf8(variables.map(|value| Some(OsStr::new(value))));
        assert!(is_utf8(["", "", "en_US.UTF-8"]));
        assert!(is_utf8(["C.utf8", "C", "C"]));
        assert!(!is_utf8(["C", "", "en_US.UTF-8"]));
        assert!(!is_utf8(["", "", ""]));
        assert!(!super::is_utf8([None; 3]));
    }

    #[test]
    fn text_from_outside_cannot_act() {
        assert_eq!(
            harmless("a\x1b[31m\n\u{202E}b\u{9b}ü"),
            "a\\u{1b}[31m\\n\\u{202e}b\\u{9b}ü"
        );
        assert_eq!(
            harmless("a\u{ad}\u{e0041}\u{180e}\u{fff9}é漢"),
            "a\\u{ad}\\u{e0041}\\u{180e}\\u{fff9}é漢"
        );
    }

    #[test]
    fn wraps_at_blanks() {
        let terminal = Terminal {
            width: 40,
            color: false,
        };
        let text = terminal.wrap("  ! ", &"word ".repeat(12), 4);
        assert!(
            text.lines().all(|line| line.chars().count() <= 40),
            "{text}"
        );
        assert!(
            text.lines()
                .skip(1)
                .all(|line| line.starts_with("    word"))
        );
    }
}
