//! JSON on lines of their own, as serde_json's PrettyFormatter writes it, that cannot act on a terminal.

use std::io::{self, Write};

use serde_json::ser::Formatter;

use crate::print::acts;

/// The indentation of a level that nothing in a document reaches.
const SPACES: &[u8] = &[b' '; 64];

/// Escapes every letter that could act on a terminal. JSON requires that only below U+0020. Such a letter can only stand in a
/// string. An indentation is written at once: serde_json's own formatter writes it level by level.
#[derive(Debug, Default)]
pub(crate) struct Escaped {
    level: usize,
    has_value: bool,
}

impl Escaped {
    fn open<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.level += 1;
        self.has_value = false;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.level -= 1;
        if self.has_value {
            self.new_line(out, b"\n")?;
        }
        out.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&mut self, out: &mut W, is_first: bool) -> io::Result<()> {
        self.new_line(out, if is_first { b"\n" } else { b",\n" })
    }

    fn new_line<W: ?Sized + Write>(&self, out: &mut W, end: &[u8]) -> io::Result<()> {
        out.write_all(end)?;
        let mut spaces = 2 * self.level;
        while spaces > 0 {
            let some = spaces.min(SPACES.len());
            out.write_all(&SPACES[..some])?;
            spaces -= some;
        }
        Ok(())
    }
}

impl Formatter for Escaped {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let is_plain = fragment.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if is_plain || !fragment.contains(acts) {
            return out.write_all(fragment.as_bytes());
        }
        fragment
            .chars()
            .try_for_each(|letter| write_letter(out, letter))
    }
}

fn write_letter<W: ?Sized + Write>(out: &mut W, letter: char) -> io::Result<()> {
    if !acts(letter) {
        return out.write_all(letter.encode_utf8(&mut [0; 4]).as_bytes());
    }
    for unit in letter.encode_utf16(&mut [0; 2]) {
        write!(out, "\\u{unit:04x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::print::json::text;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~\n\t\"]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..4);
            let map = proptest::collection::btree_map("[a-z\\\\\"]{0,4}", inner, 0..4);
            let map = map.prop_map(|map: BTreeMap<String, Value>| json!(map));
            prop_oneof![list.prop_map(Value::from), map]
        })
    }

    proptest! {
        #[test]
        fn text_that_cannot_act_is_as_serde_json_writes_it(value in value()) {
            let expected = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(text(&value), expected + "\n");
        }

        #[test]
        fn no_letter_can_act_and_each_can_be_read_again(word in any::<String>()) {
            let written = text(&word);
            prop_assert!(!written.trim_end().contains(acts));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), word);
        }
    }

    #[test]
    fn a_deep_level_is_indented() {
        let deep = (0..50).fold(json!(1), |inner, _| json!([inner]));
        let expected = serde_json::to_string_pretty(&deep).unwrap();
        assert_eq!(text(&deep), expected + "\n");
    }
}
