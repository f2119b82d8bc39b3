//! The file for node_exporter's textfile collector.

use std::fs::{self, FileType, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::commands::trouble::Trouble;

/// The collector reads names that end in `.prom`; this one does not, and no pattern of a shell finds it.
const UNFINISHED: &str = ".numa-audit-unfinished-";

/// The collector is another user.
const MODE: u32 = 0o644;

/// Replaces the file by one with this text. A reader sees the old file or the new one.
///
/// # Errors
/// Where it cannot be written, or `path` is there and is no regular file: renaming would replace a link or a device.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), Trouble> {
    replace(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    ensure_replaceable(path)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)
        .map_err(without_path)?;
    file.write_all(text).map_err(without_path)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(MODE))?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn ensure_replaceable(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_file() => Ok(()),
        Ok(kind) => Err(io::Error::other(what_it_is(kind))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn what_it_is(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "it is a link"
    } else if kind.is_dir() {
        "it is a folder"
    } else {
        "it is not a regular file"
    }
}

/// Only the kind of error: `tempfile` adds the name of the temporary file, which means nothing to the user.
fn without_path(error: io::Error) -> io::Error {
    error.kind().into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numa_audit.prom");
        for text in ["old and longer", "new"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, MODE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_but_a_regular_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        let refused = |path: &Path| write(path, b"x").unwrap_err().to_string();
        assert!(refused(&link).ends_with(": it is a link"));
        symlink(
            folder.path().join("nowhere"),
            folder.path().join("dangling"),
        )
        .unwrap();
        assert!(refused(&folder.path().join("dangling")).ends_with(": it is a link"));
        assert!(refused(folder.path()).ends_with(": it is a folder"));
        assert!(refused(Path::new("/dev/null")).ends_with(": it is not a regular file"));
        assert!(refused(&folder.path().join("missing/x")).contains("entity not found"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }
}
