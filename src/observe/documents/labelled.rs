//! The documents of one stream: one after the other, or line by line with labels before the lines, as `srun -l` and pdsh print
//! what several machines print at the same time.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Read};

use crate::observe::documents::scanner::{Piece, Scanner};

/// The longest part of a line that is read at once. A label is in the first one.
const PART: u64 = 64 << 10;

/// srun cuts a line of a task after so many bytes, and labels the rest anew.
const CUT_BY_SRUN: usize = 1024;

/// No job has so many tasks.
const MOST_LABELS: usize = 1 << 16;

/// All unfinished documents together may be so large.
const MOST_KEPT: usize = 128 << 20;

/// Reads a stream to its end, and reports what was found in it, with its label.
///
/// # Errors
/// Those of reading.
pub(super) fn read(
    mut input: impl BufRead,
    found: &mut dyn FnMut(Option<&str>, Piece),
) -> io::Result<()> {
    let mut streams = Streams::default();
    let (mut part, mut is_start, mut line) = (Vec::new(), true, 1);
    let outcome = loop {
        part.clear();
        match input.by_ref().take(PART).read_until(b'\n', &mut part) {
            Ok(0) => break Ok(()),
            Ok(_) => streams.feed(line, is_start, &part, found),
            Err(error) => break Err(error),
        }
        is_start = part.ends_with(b"\n");
        line += u64::from(is_start);
    };
    streams.end(found);
    outcome
}

/// A scanner for each label.
#[derive(Default)]
struct Streams {
    plain: Scanner,
    labelled: HashMap<String, Scanner>,
    /// The label of the line that is read.
    label: Option<String>,
    /// The bytes that all labelled scanners keep.
    kept: usize,
    pieces: Vec<Piece>,
}

impl Streams {
    fn feed(
        &mut self,
        line: u64,
        is_start: bool,
        part: &[u8],
        found: &mut dyn FnMut(Option<&str>, Piece),
    ) {
        let mut content = part;
        if is_start {
            self.label = None;
            if let Some((label, behind)) = label(part) {
                self.label = Some(label.to_owned());
                content = behind;
            }
        }
        match self.label.take() {
            None => self.plain.feed(line, is_start, content, &mut self.pieces),
            Some(label) => {
                self.labelled(&label, line, is_start, content);
                self.label = Some(label);
            }
        }
        let label = self.label.as_deref();
        self.pieces.drain(..).for_each(|piece| found(label, piece));
    }

    fn labelled(&mut self, label: &str, line: u64, is_start: bool, content: &[u8]) {
        if !self.labelled.contains_key(label) {
            if self.labelled.len() >= MOST_LABELS {
                return self.pieces.push(Piece {
                    line,
                    text: Err("the input has more than 65536 labels".to_owned()),
                });
            }
            self.labelled.insert(label.to_owned(), Scanner::compact());
        }
        let Some(scanner) = self.labelled.get_mut(label) else {
            return;
        };
        let before = scanner.kept();
        let whole = content.strip_suffix(b"\n").unwrap_or(content);
        scanner.feed(line, is_start, whole, &mut self.pieces);
        let is_cut = whole.len() == CUT_BY_SRUN || scanner.is_in_text();
        if whole.len() < content.len() && !is_cut {
            scanner.feed(line, false, b"\n", &mut self.pieces);
        }
        if self.kept + scanner.kept() > before + MOST_KEPT {
            scanner.refuse("the unfinished documents of all labels are larger than 128 MiB");
        }
        self.kept = self.kept + scanner.kept() - before;
    }

    fn end(mut self, found: &mut dyn FnMut(Option<&str>, Piece)) {
        self.plain.end(&mut self.pieces);
        self.pieces.drain(..).for_each(|piece| found(None, piece));
        for (label, mut scanner) in self.labelled.into_iter().collect::<BTreeMap<_, _>>() {
            scanner.end(&mut self.pieces);
            self.pieces
                .drain(..)
                .for_each(|piece| found(Some(&label), piece));
        }
    }
}

/// The label of a line, and what is behind it: `3: {`. No line of JSON begins so.
fn label(line: &[u8]) -> Option<(&str, &[u8])> {
    const LONGEST: usize = 255;
    let line = line.trim_ascii_start();
    let end = line
        .iter()
        .take(LONGEST + 1)
        .position(|byte| *byte == b':')?;
    let behind = &line[end + 1..];
    let content = match behind {
        [b' ', content @ ..] => content,
        [b'\n', ..] | [] => behind,
        _ => return None,
    };
    let name = std::str::from_utf8(&line[..end]).ok()?;
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_letter)).then_some((name, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(Option<String>, u64, Result<String, String>)> {
        let mut all = Vec::new();
        read(text.as_bytes(), &mut |label, piece| {
            let text = piece.text.map(|bytes| String::from_utf8(bytes).unwrap());
            all.push((label.map(str::to_owned), piece.line, text));
        })
        .unwrap();
        all
    }

    #[test]
    fn lines_of_several_tasks_are_put_together_by_their_labels() {
        let text = "0: {\n1: {\n0:   \"a\": 1,\nsrun: error: n1: task 1\n1:   \"b\": 2\n0:   \"c\": [\n1: }\n0:   ]\n0: }\n";
        let of = |label: &str, line, text: Result<&str, &str>| {
            let text = text.map(str::to_owned).map_err(str::to_owned);
            (Some(label.to_owned()), line, text)
        };
        assert_eq!(
            found(text),
            [
                of(
                    "srun",
                    4,
                    Err("it is not a JSON object, so not a document of numa-audit")
                ),
                of("1", 2, Ok("{\n\"b\":2\n}")),
                of("0", 1, Ok("{\n\"a\":1,\n\"c\":[\n]\n}")),
            ]
        );
    }

    #[test]
    fn a_line_that_srun_cut_goes_on_in_the_next_one_of_its_label() {
        // One cut is inside a text, one inside a number.
        let document = format!(
            "{{\"a\":\"{}\",\"b\":[{}123456],\"c\":\"{}\"}}",
            "x".repeat(1500),
            "1,".repeat(266),
            "y".repeat(1000)
        );
        assert!(
            document.as_bytes()[2047].is_ascii_digit()
                && document.as_bytes()[2048].is_ascii_digit()
        );
        let parts: Vec<&[u8]> = document.as_bytes().chunks(CUT_BY_SRUN).collect();
        let mut text = String::new();
        for part in parts {
            let part = std::str::from_utf8(part).unwrap();
            text += &format!("07: {part}\n08: {{}}\n");
        }
        let found = found(&text);
        let of = |label: &str| {
            found
                .iter()
                .filter(|(of, ..)| of.as_deref() == Some(label))
                .count()
        };
        assert_eq!((of("07"), of("08")), (1, 3));
        assert!(
            found
                .iter()
                .any(|(_, _, text)| text.as_ref() == Ok(&document))
        );
    }

    #[test]
    fn only_a_word_before_a_colon_is_a_label() {
        assert_eq!(label(b" 3: {\n"), Some(("3", &b"{\n"[..])));
        assert_eq!(label(b"node-1.x:\n"), Some(("node-1.x", &b"\n"[..])));
        for line in [
            "{\n",
            "\"a\": 1\n",
            "  \"a\": 1,\n",
            "12,\n",
            "a b: c\n",
            ": \n",
            "http://x: \n",
            "\n",
        ] {
            assert_eq!(label(line.as_bytes()), None, "{line}");
        }
    }
}
