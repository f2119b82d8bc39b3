//! JSON that cannot act on a terminal.

use std::io::{self, Write};

use crate::print::acts;

/// Escapes every letter that could act on a terminal. JSON requires that only below U+0020. Such a letter can only stand in a
/// string, and serde_json writes whole letters at a time.
pub(crate) struct Escaped<W>(pub(crate) W);

impl<W: Write> Escaped<W> {
    fn write_letter(&mut self, letter: char) -> io::Result<()> {
        if !is_active(letter) {
            return self.0.write_all(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            write!(self.0, "\\u{unit:04x}")?;
        }
        Ok(())
    }
}

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_plain = bytes.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~'));
        let text = std::str::from_utf8(bytes).ok().filter(|_| !is_plain);
        match text.filter(|text| text.contains(is_active)) {
            None => self.0.write_all(bytes)?,
            Some(text) => text
                .chars()
                .try_for_each(|letter| self.write_letter(letter))?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn is_active(letter: char) -> bool {
    letter != '\n' && acts(letter)
}
