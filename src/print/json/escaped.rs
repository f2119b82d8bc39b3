//! Documents that are harmless on a terminal.

use std::io::{self, Write};

use crate::print::terminal::acts;

/// Writes a document with everything escaped that could act on a terminal. JSON itself asks for that below U+0020 alone;
/// beyond that such a letter can only be within a string, of which whole letters are written at a time.
pub(crate) struct Escaped<W>(pub W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let acts = |letter: char| letter != '\n' && acts(letter);
        let is_plain = bytes.iter().all(|byte| matches!(byte, b'\n' | b' '..=b'~'));
        let text = std::str::from_utf8(bytes).ok().filter(|_| !is_plain);
        match text.filter(|text| text.contains(acts)) {
            None => self.0.write_all(bytes)?,
            Some(text) => {
                for letter in text.chars() {
                    let mut own = [0; 4];
                    match acts(letter) {
                        true => {
                            for unit in letter.encode_utf16(&mut [0; 2]) {
                                write!(self.0, "\\u{unit:04x}")?;
                            }
                        }
                        false => self.0.write_all(letter.encode_utf8(&mut own).as_bytes())?,
                    }
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
