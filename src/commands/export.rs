//! The files that an audit, a map or a saved document is written to, besides what is printed.

use std::io::{self, Write};
use std::path::Path;

use super::output::print_by;
use super::replaced_file::{self, Readers};
use super::trouble::Trouble;
use crate::audit::rules;
use crate::cli::{ExportArgs, PageArgs};
use crate::document::Document;
use crate::print::{html, picture};

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
    let html = arguments.page.html.iter().map(|path| Export {
        option: "--html",
        path,
        text: |document| html::audit(document, &rules::texts()),
    });
    svg.chain(html)
}

/// Reports early what would keep [`export`] from its files: an audit may take hours. `inputs`: the files that are read.
///
/// # Errors
/// Where a file cannot be written or is one of `inputs`, or several of them are standard output.
pub(super) fn ensure_possible(
    arguments: &ExportArgs,
    inputs: &[Option<&Path>],
) -> Result<(), Trouble> {
    let (printed, files): (Vec<Export>, Vec<Export>) =
        exports(arguments).partition(|export| is_output(export.path));
    if printed.len() > 1 {
        let options: Vec<&str> = printed.iter().map(|export| export.option).collect();
        let text = format!("only one of {} can be `-`", options.join(", "));
        return Err(text.into());
    }
    let mut files = files.iter();
    files.try_for_each(|export| ensure_file(export.path, inputs))
}

/// The same for a page alone.
///
/// # Errors
/// Where the file cannot be written.
pub(super) fn ensure_page_possible(
    arguments: &PageArgs,
    inputs: &[Option<&Path>],
) -> Result<(), Trouble> {
    let mut file = arguments.html.iter().filter(|path| !is_output(path));
    file.try_for_each(|path| ensure_file(path, inputs))
}

fn ensure_file(path: &Path, inputs: &[Option<&Path>]) -> Result<(), Trouble> {
    replaced_file::ensure_writable(path)?;
    replaced_file::ensure_not_read(path, inputs)
}

/// Writes the files. Returns whether one of them is standard output: then nothing else is printed.
///
/// # Errors
/// Where one cannot be written.
pub(super) fn export(document: &Document, arguments: &ExportArgs) -> Result<bool, Trouble> {
    let mut is_printed = false;
    for export in exports(arguments) {
        let text = (export.text)(document);
        is_printed |= write(export.path, |out| out.write_all(text.as_bytes()))?;
    }
    Ok(is_printed)
}

/// Writes the page, if there is to be one. Returns whether it is standard output.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn page(
    arguments: &PageArgs,
    by: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<bool, Trouble> {
    match &arguments.html {
        Some(path) => write(path, by),
        None => Ok(false),
    }
}

fn write(path: &Path, by: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<bool, Trouble> {
    if is_output(path) {
        print_by(by)?;
        return Ok(true);
    }
    replaced_file::write_by(path, Readers::Umask, by)?;
    Ok(false)
}

fn is_output(path: &Path) -> bool {
    path == Path::new("-")
}
