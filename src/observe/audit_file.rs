//! Reads a document of another audit, or what a machine must equal. `-` is standard input.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::document::{self, Document, Expected};
use crate::observe::root::{archive, open_named, read_named};
use crate::observe::topology_file;

/// Why such a file cannot be used: one sentence with its path.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as {what}: {why}", shown(path))]
pub(crate) struct AuditFileError {
    path: PathBuf,
    what: &'static str,
    why: String,
}

/// In MiB. A process takes some 2 KiB, so this is a machine with 30000.
const LARGEST: u64 = 64;

/// Whether a path is a recording rather than a document: a folder, or an archive.
pub(crate) fn is_recording(path: &Path) -> bool {
    let is_archive = || {
        let file = open_named(path).ok()?;
        Some(file.metadata().ok()?.is_file() && archive::is_gzip(&file))
    };
    !is_standard_input(path) && (path.is_dir() || is_archive().unwrap_or(false))
}

/// Reads the document of an audit or of a map.
///
/// # Errors
/// When it cannot be read, or is not such a document.
pub(crate) fn read_audit(path: &Path) -> Result<Document, AuditFileError> {
    let what = "an audit";
    let refuse = |why: String| refused(path, what, why);
    document::read(&bytes(path, what)?).map_err(|error| refuse(error.to_string()))
}

/// Reads what a machine must equal: a document of this program, or a topology file.
///
/// # Errors
/// When it cannot be read, or is neither.
pub(crate) fn read_expected(path: &Path) -> Result<Expected, AuditFileError> {
    let what = "what is expected";
    let refuse = |why: String| refused(path, what, why);
    let bytes = bytes(path, what)?;
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'<') {
        let places = topology_file::parse(&bytes);
        return places.map(Expected::PciNodes).map_err(refuse);
    }
    document::read_expected(&bytes).map_err(|error| refuse(error.to_string()))
}

fn refused(path: &Path, what: &'static str, why: String) -> AuditFileError {
    AuditFileError {
        path: path.to_owned(),
        what,
        why,
    }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

fn shown(path: &Path) -> String {
    if is_standard_input(path) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

fn bytes(path: &Path, what: &'static str) -> Result<Vec<u8>, AuditFileError> {
    let read = if is_standard_input(path) {
        bounded(io::stdin().lock())
    } else {
        read_named(path, LARGEST)
    };
    read.map_err(|error| refused(path, what, error.to_string()))
}

fn bounded(input: impl Read) -> io::Result<Vec<u8>> {
    let limit = LARGEST << 20;
    let mut bytes = Vec::new();
    input.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {LARGEST} MiB")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endless_input_is_refused() {
        let error = bounded(io::repeat(b' ')).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 64 MiB");
    }
}
