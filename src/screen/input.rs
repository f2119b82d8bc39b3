//! The bytes that a terminal sends for keys.
//!
//! crossterm's reader is not used: once the terminal is gone, it reads without end and without a pause (0.29, `Ok(0)` in
//! event/source/unix/mio.rs), and it cannot wait for other files than the terminal.

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-Z.
    Suspend,
    /// Ctrl-L.
    Redraw,
    /// A letter, a digit or a sign.
    Letter(char),
}

/// Bytes that came, and are not a whole key yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    rest: Vec<u8>,
}

impl Input {
    /// No sequence of a key is longer.
    const LONGEST: usize = 32;

    /// The keys whose bytes are complete now. Unknown sequences are left out.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some((size, key)) = first(&self.rest) {
            self.rest.drain(..size);
            keys.extend(key);
        }
        if self.rest.len() > Self::LONGEST {
            self.rest.clear();
        }
        keys
    }

    /// Whether an Escape came that may be the start of a key's sequence.
    pub(crate) fn is_open(&self) -> bool {
        !self.rest.is_empty()
    }

    /// The keys where nothing followed: an Escape alone is the key of that name.
    pub(crate) fn close(&mut self) -> Vec<Key> {
        let is_escape = self.rest == [ESCAPE];
        self.rest.clear();
        is_escape.then_some(Key::Escape).into_iter().collect()
    }
}

const ESCAPE: u8 = 0x1b;

/// The first key, and how many bytes it has. `None` where more bytes are needed.
fn first(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    match bytes {
        [] | [ESCAPE] => None,
        [ESCAPE, b'[', rest @ ..] => {
            // Parameters, then one final byte.
            let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte))?;
            Some((end + 3, sequence(&rest[..end], rest[end])))
        }
        [ESCAPE, b'O', end, ..] => Some((3, sequence(&[], *end))),
        [ESCAPE, b'O'] => None,
        // Two Escapes are one, and Alt with a letter is nothing.
        [ESCAPE, ESCAPE, ..] => Some((1, Some(Key::Escape))),
        [ESCAPE, ..] => Some((2, None)),
        [byte, ..] if byte.is_ascii() => Some((1, single(*byte))),
        _ => letter(bytes),
    }
}

fn sequence(parameters: &[u8], end: u8) -> Option<Key> {
    let number = parameters.split(|byte| *byte == b';').next();
    Some(match (end, number.unwrap_or_default()) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) => Key::Right,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'M', []) => Key::Enter,
        (b'Z', _) => Key::BackTab,
        (b'~', b"5") => Key::PageUp,
        (b'~', b"6") => Key::PageDown,
        _ => return None,
    })
}

fn single(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x08 | 0x7f => Key::Backspace,
        0x03 => Key::Interrupt,
        0x1a => Key::Suspend,
        0x0c => Key::Redraw,
        0x02 => Key::PageUp,
        0x06 => Key::PageDown,
        b' '..=b'~' => Key::Letter(char::from(byte)),
        _ => return None,
    })
}

/// A letter of several bytes.
fn letter(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    const MOST: usize = 4;
    let start = &bytes[..MOST.min(bytes.len())];
    let letters = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        // Bytes that are no letter are skipped; those that may become one are waited for.
        Err(error) => return error.error_len().map(|size| (size, None)),
    };
    let first = letters.chars().next()?;
    Some((first.len_utf8(), Some(Key::Letter(first))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_read_as_terminals_send_them() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Key::Up),
            (b"\x1bOB", Key::Down),
            (b"\x1b[1;5C", Key::Right),
            (b"\x1b[H", Key::Home),
            (b"\x1b[1~", Key::Home),
            (b"\x1bOF", Key::End),
            (b"\x1b[5~", Key::PageUp),
            (b"\x1b[6~", Key::PageDown),
            (b"\x1b[Z", Key::BackTab),
            (b"\r", Key::Enter),
            (b"\x7f", Key::Backspace),
            (b"\x03", Key::Interrupt),
            (b"q", Key::Letter('q')),
            ("ü".as_bytes(), Key::Letter('ü')),
        ] {
            let mut input = Input::default();
            assert_eq!(input.add(bytes), [key], "{bytes:?}");
            assert!(!input.is_open());
        }
    }

    #[test]
    fn a_sequence_may_come_in_parts() {
        let mut input = Input::default();
        assert_eq!(input.add(b"j\x1b"), [Key::Letter('j')]);
        assert!(input.is_open());
        assert_eq!(input.add(b"[6"), []);
        assert_eq!(input.add(b"~k"), [Key::PageDown, Key::Letter('k')]);
        assert_eq!(input.add(b"\x1b"), []);
        assert_eq!(input.close(), [Key::Escape]);
        assert!(!input.is_open());
    }

    #[test]
    fn unknown_sequences_are_no_letters() {
        let mut input = Input::default();
        assert_eq!(input.add(b"\x1b[15~\x1b[?1;2cx\x1bx"), [Key::Letter('x')]);
        assert_eq!(input.add(b"\xff\xfe\x80q"), [Key::Letter('q')]);
    }

    proptest! {
        #[test]
        fn no_bytes_stop_the_input(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut input = Input::default();
            input.add(&bytes);
            input.close();
            prop_assert_eq!(input.add(b"q"), [Key::Letter('q')]);
        }
    }
}
