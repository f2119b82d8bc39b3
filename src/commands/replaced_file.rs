//! Files that a command writes for other programs: replaced as a whole.

use std::fs::{self, FileType, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::trouble::Trouble;

/// The collector reads names that end in `.prom`; this one does not, and no pattern of a shell finds it.
const UNFINISHED: &str = ".numa-audit-unfinished-";

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Every user: a collector is another one than the writer.
    All,
    /// As the umask says.
    Umask,
}

/// Replaces the file by one with this text. A reader sees the old file or the new one.
///
/// # Errors
/// Where it cannot be written, or `path` is there and is no regular file: renaming would replace a link or a device.
pub(super) fn write(path: &Path, text: &[u8], readers: Readers) -> Result<(), Trouble> {
    write_by(path, readers, |file| file.write_all(text))
}

/// The same with what `write` writes, which may be long.
///
/// # Errors
/// As those of `write`, and those of writing.
pub(super) fn write_by(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Trouble> {
    replace(path, readers, write).map_err(|error| cannot(path, &error))
}

/// Reports early what would keep `write` from this file, as far as that can be known.
///
/// # Errors
/// As those of `write`.
pub(super) fn ensure_writable(path: &Path) -> Result<(), Trouble> {
    ensure_replaceable(path).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &io::Error) -> Trouble {
    format!("cannot write {}: {error}", path.display()).into()
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn replace(
    path: &Path,
    readers: Readers,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    ensure_replaceable(path)?;
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        // open(2) takes the umask's bits from these.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder_of(path))
        .map_err(without_path)?;
    write(&mut file).map_err(without_path)?;
    if readers == Readers::All {
        let readable = Permissions::from_mode(0o644);
        file.as_file().set_permissions(readable)?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Whether `path` is a regular file, or is not there but its folder is.
fn ensure_replaceable(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_file() => Ok(()),
        Ok(kind) => Err(io::Error::other(what_it_is(kind))),
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::metadata(folder_of(path)) {
            Ok(folder) if folder.is_dir() => Ok(()),
            Ok(_) => Err(ErrorKind::NotADirectory.into()),
            Err(error) => Err(error),
        },
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
            write(&path, text.as_bytes(), Readers::All).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_but_a_regular_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "kept").unwrap();
        symlink(&target, &link).unwrap();
        let refused = |path: &Path| {
            let error = write(path, b"x", Readers::Umask).unwrap_err().to_string();
            assert_eq!(ensure_writable(path).unwrap_err().to_string(), error);
            error
        };
        assert!(refused(&link).ends_with(": it is a link"));
        symlink(
            folder.path().join("nowhere"),
            folder.path().join("dangling"),
        )
        .unwrap();
        assert!(refused(&folder.path().join("dangling")).ends_with(": it is a link"));
        assert!(refused(folder.path()).ends_with(": it is a folder"));
        assert!(refused(Path::new("/dev/null")).ends_with(": it is not a regular file"));
        assert!(refused(&folder.path().join("missing/x")).contains("No such file"));
        assert_eq!(fs::read_to_string(&target).unwrap(), "kept");
    }
}
