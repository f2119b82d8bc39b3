//! Everything that is printed goes through here.

use std::io::{self, BufWriter, ErrorKind, Write};

use super::exit_code;
use super::streams_at_start::{self, StreamKind};
use super::trouble::Trouble;
use crate::cli::{ColorArgs, FailOn};
use crate::document::Document;
use crate::print::picture::map::BoxStyle;
use crate::print::{Surroundings, Terminal, is_utf8, quiet};

/// The terminal of standard output.
pub(super) fn terminal(color: &ColorArgs) -> Terminal {
    terminal_of(streams_at_start::output(), color)
}

/// The terminal of a stream of this kind.
pub(super) fn terminal_of(stream: StreamKind, color: &ColorArgs) -> Terminal {
    let variable = |name| std::env::var_os(name);
    let (columns, no_color, term) = (variable("COLUMNS"), variable("NO_COLOR"), variable("TERM"));
    let around = Surroundings {
        is_terminal: stream.is_terminal,
        columns: stream.columns,
        columns_variable: columns.as_deref(),
        no_color: no_color.as_deref(),
        term: term.as_deref(),
    };
    Terminal::new(color.color, around)
}

/// What boxes are drawn with: `is_ascii` is --ascii.
pub(super) fn box_style(is_ascii: bool) -> BoxStyle {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(std::env::var_os);
    match is_ascii || !is_utf8(locale.each_ref().map(Option::as_deref)) {
        true => BoxStyle::Ascii,
        false => BoxStyle::Lines,
    }
}

/// The line of --quiet about an audit or a map; empty where all is well.
pub(super) fn quiet_line(document: &Document, fail_on: FailOn) -> String {
    let failing = exit_code::failing(document, fail_on);
    let is_complete = !exit_code::is_incomplete(document);
    quiet::audit(document, &failing, is_complete).unwrap_or_default()
}

/// Prints text to standard output.
pub(super) fn print(text: &str) -> Result<(), Trouble> {
    print_by(|out| out.write_all(text.as_bytes()))
}

/// Prints to standard output what `write` writes. A reader that closes the pipe early is not an error.
pub(super) fn print_by(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Trouble> {
    if let Some(fault) = streams_at_start::fault() {
        return Err(format!("cannot write the output: {fault}").into());
    }
    let mut stdout = BufWriter::with_capacity(32 << 10, io::stdout().lock());
    match write(&mut stdout).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write the output: {error}").into())
        }
        _ => Ok(()),
    }
}
