//! How wide text is at most. A picture is drawn where its fonts are not known, so that each letter has the width of the widest
//! common font.

use unicode_width::UnicodeWidthChar;

use crate::print::harmless;

/// A text's size and weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Font {
    /// In pixels.
    pub(super) size: f64,
    pub(super) is_bold: bool,
}

impl Font {
    pub(super) const fn regular(size: f64) -> Self {
        let is_bold = false;
        Self { size, is_bold }
    }

    pub(super) const fn bold(size: f64) -> Self {
        let is_bold = true;
        Self { size, is_bold }
    }

    /// How wide the text is at most, in pixels.
    pub(super) fn width(self, text: &str) -> f64 {
        text.chars().map(|letter| self.advance(letter)).sum()
    }

    /// The text, or as much of its beginning as fits, with `…`. Empty where not even that has room.
    pub(super) fn fit(self, text: &str, room: f64) -> String {
        if self.width(text) <= room {
            return text.to_owned();
        }
        let mut left = room - self.advance('…');
        let kept = text.chars().take_while(|letter| {
            left -= self.advance(*letter);
            left >= 0.0
        });
        let kept: String = kept.collect();
        match self.advance('…') <= room {
            true => format!("{}…", kept.trim_end()),
            false => String::new(),
        }
    }

    /// The first of these texts that fits, else as much of the last one as does.
    pub(super) fn first_that_fits(self, texts: &[String], room: f64) -> String {
        let fitting = texts.iter().find(|text| self.width(text) <= room);
        let chosen = fitting.or(texts.last()).map_or("", String::as_str);
        self.fit(chosen, room)
    }

    /// The text in lines that fit, broken at blanks. What is behind the last of `most` lines is cut.
    pub(super) fn wrap(self, text: &str, room: f64, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = vec![String::new()];
        for word in text.split(' ') {
            let count = lines.len();
            let Some(line) = lines.last_mut() else { break };
            let longer = match line.is_empty() {
                true => word.to_owned(),
                false => format!("{line} {word}"),
            };
            match line.is_empty() || count == most || self.width(&longer) <= room {
                true => *line = longer,
                false => lines.push(word.to_owned()),
            }
        }
        lines.iter().map(|line| self.fit(line, room)).collect()
    }

    fn advance(self, letter: char) -> f64 {
        /// Of letters that are one column wide.
        const WIDEST: u16 = 160;
        /// Of ideographs 100, of emoji more.
        const WIDE: u16 = 130;
        let widths = if self.is_bold { &BOLD } else { &REGULAR };
        let ascii = u32::from(letter).checked_sub(FIRST);
        let ascii = ascii.and_then(|at| widths.get(at as usize));
        let hundredths = match (ascii, letter) {
            (Some(width), _) => *width,
            (None, '·') => 38,
            (None, '×' | '≤') => 84,
            (None, '…' | '→') => 100,
            _ => match letter.width() {
                Some(0) => 0,
                Some(1) => WIDEST,
                _ => WIDE,
            },
        };
        f64::from(hundredths) / 100.0 * self.size
    }
}

/// Text from outside for a picture: harmless, no longer than `longest` letters, and of the marks that stand on a letter one at
/// most, because they would grow out of their line.
pub(super) fn shown(text: &str, longest: usize) -> String {
    let mut beginning: String = text.chars().take(longest).collect();
    if beginning.len() < text.len() {
        beginning.push('…');
    }
    let mut marks = 0;
    let mut clean = harmless(&beginning);
    clean.retain(|letter| {
        marks = match letter.width() {
            Some(0) => marks + 1,
            _ => 0,
        };
        marks <= 1
    });
    clean
}

/// The first letter of the tables: the space.
const FIRST: u32 = 0x20;

/// The widest of DejaVu Sans and the fonts with Arial's widths, in hundredths of the size, for U+0020 to U+007E.
#[rustfmt::skip]
const REGULAR: [u16; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84, 84, 84, 56,
    102, 69, 69, 73, 78, 67, 62, 78, 76, 30, 50, 67, 56, 87, 75, 79, 67, 79, 73, 67, 62, 74, 69, 99, 69, 67, 69, 40, 34, 40, 84, 56,
    50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// The same of their bold faces.
#[rustfmt::skip]
const BOLD: [u16; 95] = [
    35, 46, 53, 84, 70, 101, 88, 31, 46, 46, 53, 84, 38, 42, 38, 37, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 40, 40, 84, 84, 84, 62,
    100, 78, 77, 74, 84, 69, 69, 83, 84, 38, 56, 78, 64, 100, 84, 86, 74, 86, 78, 73, 69, 82, 78, 111, 78, 73, 73, 46, 37, 46, 84, 56,
    50, 68, 72, 60, 72, 68, 44, 72, 72, 35, 35, 67, 35, 105, 72, 69, 72, 72, 50, 60, 48, 72, 66, 93, 65, 66, 59, 72, 37, 72, 84,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_cut_with_an_ellipsis() {
        let font = Font::regular(10.0);
        assert_eq!(font.fit("trainer 1010", 200.0), "trainer 1010");
        assert_eq!(font.fit("trainer 1010", 40.0), "traine…");
        assert_eq!(font.fit("trainer", 11.0), "…");
        assert_eq!(font.fit("trainer", 3.0), "");
        let texts = ["CPUs 0-23,48-71", "48 CPUs"].map(str::to_owned);
        assert_eq!(font.first_that_fits(&texts, 200.0), "CPUs 0-23,48-71");
        assert_eq!(font.first_that_fits(&texts, 60.0), "48 CPUs");
    }

    #[test]
    fn marks_do_not_pile_up() {
        assert_eq!(shown("a\u{301}\u{302}\u{303}b", 9), "a\u{301}b");
        assert_eq!(shown("\u{202e}a\u{fffe}\0", 9), "\\u{202e}a\\u{fffe}\\u{0}");
        assert_eq!(shown("abcdef", 3), "abc…");
    }

    proptest! {
        #[test]
        fn fitted_text_fits(text in any::<String>(), room in 0.0..300.0f64, is_bold: bool) {
            let font = Font { size: 13.0, is_bold };
            prop_assert!(font.width(&font.fit(&text, room)) <= room);
        }

        #[test]
        fn shown_text_is_allowed_in_xml(text in any::<String>()) {
            let is_allowed = |letter: char| letter >= ' ' && !matches!(letter, '\u{fffe}' | '\u{ffff}');
            prop_assert!(shown(&text, 100).chars().all(is_allowed));
        }
    }
}
