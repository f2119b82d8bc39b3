//! The files that an audit, a map or a saved document is written to, besides what is printed.

use std::path::Path;

use super::output::print;
use super::replaced_file::{self, Readers};
use super::trouble::Trouble;
use crate::cli::ExportArgs;
use crate::document::Document;
use crate::print::picture;

/// A form of the document.
struct Export<'a> {
    option: &'static str,
    path: &'a Path,
    text: fn(&Document) -> String,
}

fn exports(arguments: &ExportArgs) -> impl Iterator<Item = Export<'_>> {
    let svg = arguments.svg.iter().map(|path| Export {
        option: "--svg",
        path,
        text: picture::file,
    });
    svg
}

/// Reports early what would keep [`export`] from its files: an audit may take hours.
///
/// # Errors
/// Where a file cannot be written, or several of them are standard output.
pub(super) fn ensure_possible(arguments: &ExportArgs) -> Result<(), Trouble> {
    let (printed, files): (Vec<Export>, Vec<Export>) =
        exports(arguments).partition(|export| is_output(export.path));
    if printed.len() > 1 {
        let options: Vec<&str> = printed.iter().map(|export| export.option).collect();
        let text = format!("only one of {} can be `-`", options.join(", "));
        return Err(text.into());
    }
    let mut files = files.iter();
    files.try_for_each(|export| replaced_file::ensure_writable(export.path))
}

/// Writes the files. Returns whether one of them is standard output: then nothing else is printed.
///
/// # Errors
/// Where one cannot be written.
pub(super) fn export(document: &Document, arguments: &ExportArgs) -> Result<bool, Trouble> {
    let mut is_printed = false;
    for export in exports(arguments) {
        let text = (export.text)(document);
        if is_output(export.path) {
            print(&text)?;
            is_printed = true;
        } else {
            replaced_file::write(export.path, text.as_bytes(), Readers::Umask)?;
        }
    }
    Ok(is_printed)
}

fn is_output(path: &Path) -> bool {
    path == Path::new("-")
}
