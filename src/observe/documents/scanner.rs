//! Takes documents that stand one after the other apart, without parsing them.

use memchr::{memchr3, memrchr};

use crate::observe::documents::kept::{Kept, TAIL};

/// The limits of one document, so that a hostile one costs bounded memory. A process takes some 2 KiB of text, a dozen objects
/// and a hundred values: this is a machine with 8000.
const LARGEST: usize = 16 << 20;
const MOST_OBJECTS: usize = 100_000;
const MOST_VALUES: usize = 2_000_000;

/// The first key of every document, as this program writes it.
const FIRST_KEY: &[u8] = b"\"schema_version\"";

/// Of a document that is refused the end is kept, to find the beginning of the next one in it. It is cut at this length.
const LONGEST_END: usize = 16 * TAIL;

const CUT: &str = "it is cut: another document begins inside it";

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The number of the line in which it begins, from 1.
    pub(super) line: u64,
    /// The text of a document, or one sentence that says why there is none.
    pub(super) text: Result<Vec<u8>, String>,
}

/// The state between two parts of a line. A document ends where its braces are balanced. One that was cut is known by a brace at
/// the beginning of a line, where its own lines are indented, or where the first key of a document follows.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    bytes: Kept,
    /// Whether blanks between values are left out.
    is_compact: bool,
    depth: usize,
    is_in_text: bool,
    is_escaped: bool,
    /// Where the document begins.
    first_line: u64,
    /// Where a brace last stood at the beginning of a line.
    brace_line: u64,
    objects: usize,
    values: usize,
    /// Why the document cannot be used, although its end is not known yet.
    refusal: Option<&'static str>,
    is_in_garbage: bool,
    /// Whether the second line of the document begins with a blank.
    is_indented: bool,
}

impl Scanner {
    /// A scanner that leaves out blanks, for many documents at the same time.
    pub(super) fn compact() -> Self {
        Self {
            is_compact: true,
            bytes: Kept::compressed(),
            ..Self::default()
        }
    }

    /// The bytes of memory that an unfinished document takes.
    pub(super) fn kept(&self) -> usize {
        self.bytes.size()
    }

    /// Whether the last line ended inside a text, which no line of a whole document does.
    pub(super) fn is_in_text(&self) -> bool {
        self.is_in_text
    }

    /// Gives the unfinished document up; what follows is still taken apart.
    pub(super) fn refuse(&mut self, why: &'static str) {
        self.refusal.get_or_insert(why);
        self.bytes.shorten();
    }

    /// Reads a part of line `line`.
    pub(super) fn feed(&mut self, line: u64, is_start: bool, part: &[u8], found: &mut Vec<Piece>) {
        let mut at = 0;
        while at < part.len() {
            at += match self.is_in_text {
                true => self.text(line, &part[at..], found),
                false => self.other(line, is_start && at == 0, part[at], found),
            };
            if self.bytes.length() > LARGEST {
                self.refuse("it is larger than 16 MiB");
            }
            if self.refusal.is_some() && self.bytes.length() > LONGEST_END {
                self.bytes.shorten();
            }
        }
    }

    /// The end of the input.
    pub(super) fn end(&mut self, found: &mut Vec<Piece>) {
        if self.depth > 0 {
            self.refusal.get_or_insert("it is cut: its end is missing");
            self.finish(found);
        }
    }

    /// Reads on inside a text, as far as its end or its next special letter; gives the bytes read.
    fn text(&mut self, line: u64, part: &[u8], found: &mut Vec<Piece>) -> usize {
        if std::mem::take(&mut self.is_escaped) {
            self.bytes.push(part[0]);
            return 1;
        }
        let Some(at) = memchr3(b'"', b'\\', b'\n', part) else {
            self.bytes.extend(part);
            return part.len();
        };
        self.bytes.extend(&part[..=at]);
        match part[at] {
            b'\\' => self.is_escaped = true,
            b'"' => {
                self.is_in_text = false;
                self.begin_anew_behind_a_cut(line, found);
            }
            _ => {
                self.is_in_text = false;
                self.refusal.get_or_insert(
                    "a line of it ends inside a text: it is cut, or mixed with another one",
                );
            }
        }
        at + 1
    }

    /// Reads a byte that is not in a text.
    fn other(&mut self, line: u64, is_start: bool, byte: u8, found: &mut Vec<Piece>) -> usize {
        if self.depth == 0 {
            self.between(line, is_start, byte, found);
            return 1;
        }
        if is_start && self.is_another(byte) {
            self.refusal.get_or_insert(CUT);
            self.finish(found);
            self.begin(line);
            return 1;
        }
        match byte {
            b' ' | b'\t' | b'\r' if self.is_compact => return 1,
            b'{' | b'[' => {
                self.depth += 1;
                self.values += 1;
                self.objects += usize::from(byte == b'{');
                if is_start {
                    self.brace_line = line;
                }
            }
            b'}' | b']' => self.depth -= 1,
            b'"' => self.is_in_text = true,
            b',' => self.values += 1,
            _ => {}
        }
        self.bytes.push(byte);
        if self.objects > MOST_OBJECTS || self.values > MOST_VALUES {
            self.refuse("it has more than 100000 objects or 2000000 values");
        }
        if self.depth == 0 {
            self.finish(found);
        }
        1
    }

    /// Whether another document begins with the line of this first byte.
    fn is_another(&mut self, byte: u8) -> bool {
        if self.bytes.tail().trim_ascii_end() == b"{" {
            self.is_indented = byte.is_ascii_whitespace();
        }
        byte == b'{' && self.is_indented
    }

    /// Reads a byte between two documents. Behind other text a document begins at the beginning of a line.
    fn between(&mut self, line: u64, is_start: bool, byte: u8, found: &mut Vec<Piece>) {
        match byte {
            b'{' if is_start || !self.is_in_garbage => self.begin(line),
            // A byte order mark may stand before it.
            b' ' | b'\t' | b'\r' | b'\n' | 0xef | 0xbb | 0xbf => {}
            _ if self.is_in_garbage => {}
            _ => {
                self.is_in_garbage = true;
                let why = "it is not a JSON object, so not a document of numa-audit";
                found.push(Piece {
                    line,
                    text: Err(why.to_owned()),
                });
            }
        }
    }

    fn begin(&mut self, line: u64) {
        self.bytes.push(b'{');
        (self.depth, self.objects, self.values) = (1, 1, 1);
        (self.first_line, self.brace_line) = (line, line);
        (self.is_in_garbage, self.is_indented) = (false, false);
    }

    fn finish(&mut self, found: &mut Vec<Piece>) {
        let text = match self.refusal.take() {
            Some(why) => {
                self.bytes.shorten();
                self.bytes.split_off(TAIL);
                Err(why.to_owned())
            }
            None => self.bytes.take().map_err(|error| error.to_string()),
        };
        self.depth = 0;
        self.is_in_text = false;
        found.push(Piece {
            line: self.first_line,
            text,
        });
    }

    /// After a text that is a document's first key: if it stands behind a brace at the beginning of a line, the document that
    /// this one began with was cut there.
    fn begin_anew_behind_a_cut(&mut self, line: u64, found: &mut Vec<Piece>) {
        let tail = self.bytes.tail();
        let Some(before) = tail.strip_suffix(FIRST_KEY) else {
            return;
        };
        let brace = before.trim_ascii_end().len().saturating_sub(1);
        let is_start = brace > 0 && before[brace] == b'{' && before[brace - 1] == b'\n';
        if !is_start {
            return;
        }
        let next = self.bytes.split_off(tail.len() - brace);
        let first_line = match memrchr(b'\n', &next) {
            Some(_) => self.brace_line,
            None => line,
        };
        self.refusal.get_or_insert(CUT);
        self.finish(found);
        self.begin(first_line);
        self.bytes.extend(&next[1..]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is found in a text that comes in parts of so many bytes.
    fn found(text: &str, size: usize) -> Vec<(u64, Result<String, String>)> {
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        for (line, number) in text.split_inclusive('\n').zip(1..) {
            for (part, at) in line.as_bytes().chunks(size).zip(0..) {
                scanner.feed(number, at == 0, part, &mut found);
            }
        }
        scanner.end(&mut found);
        let pieces = found.into_iter();
        pieces
            .map(|piece| {
                let text = piece.text.map(|bytes| String::from_utf8(bytes).unwrap());
                (piece.line, text)
            })
            .collect()
    }

    fn document(line: u64, text: &str) -> (u64, Result<String, String>) {
        (line, Ok(text.to_owned()))
    }

    #[test]
    fn documents_are_taken_apart() {
        let text = "\u{feff}\n{\"a\": \"}\\\"{\"}{}\n {\n\"b\": [{}]\n}\n";
        for size in [1, 2, 7, 100] {
            assert_eq!(
                found(text, size),
                [
                    document(2, "{\"a\": \"}\\\"{\"}"),
                    document(2, "{}"),
                    document(3, "{\n\"b\": [{}]\n}")
                ]
            );
        }
    }

    #[test]
    fn a_cut_document_does_not_hide_the_next_one() {
        const NEXT: &str = "{\n  \"schema_version\": 1\n}";
        let cuts = [
            (
                "{\n  \"a\": {\n",
                "it is cut: another document begins inside it",
            ),
            (
                "{\n  \"a\": \"x\n",
                "a line of it ends inside a text: it is cut, or mixed with another one",
            ),
        ];
        for (cut, why) in cuts {
            for size in [1, 100] {
                let found = found(&format!("{cut}{NEXT}\n{NEXT}"), size);
                let broken = (1, Err(why.to_owned()));
                assert_eq!(found, [broken, document(3, NEXT), document(6, NEXT)]);
            }
        }
        // Sorted by another program: the first key is another one.
        let sorted = "{\n  \"a\": [\n    {\n    }\n  ]\n}";
        let found_there = found(&format!("{{\n  \"a\": {{\n{sorted}\n{sorted}\n"), 100);
        let lines: Vec<(u64, bool)> = found_there
            .iter()
            .map(|(line, text)| (*line, text.is_ok()))
            .collect();
        assert_eq!(lines, [(1, false), (3, true), (9, true)]);
        let flat = "{\n\"a\": [\n{\n}\n]\n}";
        assert_eq!(found(flat, 100), [document(1, flat)]);
        let one_line = "{\"schema_version\":1}";
        let cut = format!("{{\"a\":[\n{one_line}\n{{\"a\":1");
        let why = |why: &str| Err(why.to_owned());
        assert_eq!(
            found(&cut, 100),
            [
                (1, why("it is cut: another document begins inside it")),
                document(2, one_line),
                (3, why("it is cut: its end is missing"))
            ]
        );
    }

    #[test]
    fn other_text_is_named_once() {
        let found = found("srun: error {\nx\n[1]\n{}\n\nnull", 100);
        let lines: Vec<(u64, bool)> = found
            .iter()
            .map(|(line, text)| (*line, text.is_ok()))
            .collect();
        assert_eq!(lines, [(1, false), (4, true), (6, false)]);
    }

    #[test]
    fn a_document_that_is_too_large_is_dropped_while_it_is_read() {
        let (mut scanner, mut found) = (Scanner::default(), Vec::new());
        scanner.feed(1, true, b"{\"a\": \"", &mut found);
        let part = vec![b'x'; 1 << 20];
        for _ in 0..40 {
            scanner.feed(1, false, &part, &mut found);
            assert!(scanner.kept() <= LARGEST);
        }
        scanner.feed(1, false, b"\"}\n", &mut found);
        scanner.feed(2, true, b"{}\n", &mut found);
        let texts: Vec<_> = found.into_iter().map(|piece| piece.text).collect();
        assert_eq!(
            texts,
            [
                Err("it is larger than 16 MiB".to_owned()),
                Ok(b"{}".to_vec())
            ]
        );
    }

    #[test]
    fn deep_and_wide_documents_are_refused_before_they_are_parsed() {
        for part in ["[", "{\"a\":", "0,"] {
            let (mut scanner, mut found) = (Scanner::default(), Vec::new());
            scanner.feed(1, true, b"{\"a\":[", &mut found);
            scanner.feed(
                1,
                false,
                part.repeat(MOST_VALUES + 1).as_bytes(),
                &mut found,
            );
            assert!(scanner.kept() <= LONGEST_END, "{part}");
            scanner.feed(1, false, b"\n", &mut found);
            scanner.feed(2, true, b"{\"schema_version\":1}", &mut found);
            assert_eq!(found.len(), 2, "{part}");
        }
    }

    proptest! {
        #[test]
        fn the_size_of_the_parts_does_not_matter(text in r#"([{}\[\],"\\ x\n]|"schema_version"|\n\{"schema_version"){0,60}"#, size in 1usize..9) {
            prop_assert_eq!(found(&text, size), found(&text, 1000));
        }
    }
}
