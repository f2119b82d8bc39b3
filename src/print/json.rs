//! JSON: documents as they are. All that could act on a terminal is escaped.

pub(crate) mod escaped;

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::Serializer;

use crate::print::json::escaped::Escaped;

/// Writes a document, piece by piece: with 300 processes its text is 0.5 MiB long.
///
/// # Errors
/// Those of writing.
pub(crate) fn write(document: &impl Serialize, out: impl Write) -> io::Result<()> {
    // `out` may be of any kind: most of the thousands of pieces are a few bytes long, and are put together first.
    let mut pieces = BufWriter::with_capacity(32 << 10, out);
    let mut serializer = Serializer::with_formatter(&mut pieces, Escaped::default());
    document.serialize(&mut serializer)?;
    pieces.write_all(b"\n")?;
    pieces.flush()
}

/// The same as text, for short documents.
pub(crate) fn text(document: &impl Serialize) -> String {
    let mut text = Vec::new();
    // Nothing in it can fail: keys of maps are text, and numbers are finite.
    let _ = write(document, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
