//! Reads the document of another audit, or what a machine must equal.

use std::path::{Path, PathBuf};

use crate::document::outline::{Expected, Outline};
use crate::document::read::parse_report;
use crate::observe::root::archive;
use crate::observe::root::named_file::{open_named, read_named};
use crate::observe::topology_file;

/// Why such a file cannot be used: one sentence with its path.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as {what}: {why}", path.display())]
pub struct AuditFileError {
    path: PathBuf,
    what: &'static str,
    why: String,
}

/// In MiB. A process has some 2 KiB of it, so this is a machine with 30000.
const LARGEST: u64 = 64;

/// Whether a path is a recording rather than a document: a folder, or an archive.
pub fn is_recording(path: &Path) -> bool {
    let is_archive = || {
        let file = open_named(path).ok()?;
        Some(file.metadata().ok()?.is_file() && archive::is_gzip(&file))
    };
    path.is_dir() || is_archive().unwrap_or(false)
}

/// The audit that a JSON document tells.
///
/// # Errors
/// When it cannot be read, or is no document of an audit that this program knows.
pub fn read_audit(path: &Path) -> Result<Outline, AuditFileError> {
    let refuse = |why: String| AuditFileError {
        path: path.to_owned(),
        what: "an audit",
        why,
    };
    let bytes = read_named(path, LARGEST).map_err(|error| refuse(error.to_string()))?;
    parse_report(&bytes).map_err(|error| refuse(error.to_string()))
}

/// What a machine must equal: a document of this program, or a topology file.
///
/// # Errors
/// When it cannot be read, or is neither.
pub fn read_expected(path: &Path) -> Result<Expected, AuditFileError> {
    let refuse = |why: String| AuditFileError {
        path: path.to_owned(),
        what: "what is expected",
        why,
    };
    let bytes = read_named(path, LARGEST).map_err(|error| refuse(error.to_string()))?;
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'<') => topology_file::parse(&bytes)
            .map(Expected::Places)
            .map_err(refuse),
        _ => parse_report(&bytes)
            .map(|outline| Expected::Audit(Box::new(outline)))
            .map_err(|error| refuse(error.to_string())),
    }
}
