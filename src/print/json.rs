//! JSON: documents as they are. All that could act on a terminal is escaped.

pub(crate) mod escaped;

use std::io::{self, Write};

use serde::Serialize;

use crate::print::json::escaped::Escaped;

/// Writes a document, piece by piece: with 300 processes its text is 0.5 MiB long.
///
/// # Errors
/// Those of writing.
pub(crate) fn write(document: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(Escaped(&mut out), document)?;
    out.write_all(b"\n")
}

/// The same as text, for short documents.
pub(crate) fn text(document: &impl Serialize) -> String {
    let mut text = Vec::new();
    // Nothing in it can fail: keys of maps are text, and numbers are finite.
    let _ = write(document, &mut text);
    String::from_utf8(text).unwrap_or_default()
}
