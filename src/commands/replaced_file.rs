//! Files that a command writes for other programs: replaced as a whole.

use std::fs::{self, File, FileType, Permissions};
use std::io::{self, ErrorKind, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tempfile::TempPath;

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

/// Whether the file is none of those that the same command reads.
///
/// # Errors
/// Where it is one.
pub(super) fn ensure_not_read(path: &Path, inputs: &[Option<&Path>]) -> Result<(), Trouble> {
    let place = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let Some(own) = place(path) else {
        return Ok(());
    };
    match inputs
        .iter()
        .flatten()
        .any(|input| place(input) == Some(own))
    {
        true => Err(cannot(path, &io::Error::other("it is a file that is read"))),
        false => Ok(()),
    }
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
    let folder = folder_of(path);
    let unfinished = match unnamed(folder) {
        Some(mut file) => {
            write(&mut file)?;
            open_to(readers, &file)?;
            named(&mut file, folder)?
        }
        None => {
            let (mut file, name) = created(folder)?;
            write(&mut file)?;
            open_to(readers, &file)?;
            name
        }
    };
    unfinished.persist(path).map_err(|error| error.error)
}

/// A file without a name: nothing is left of it where the program is killed while it writes. `None` where the file system has
/// no such files, and where the folder cannot be written.
fn unnamed(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::from_raw_mode(0o666));
    file.ok().map(File::from)
}

/// Gives it a name, which no other file has.
fn named(file: &mut File, folder: &Path) -> io::Result<TempPath> {
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = temporary(folder, |name| {
        rustix::fs::linkat(CWD, &own, CWD, name, AtFlags::SYMLINK_FOLLOW).map_err(io::Error::from)
    });
    if let Ok(((), name)) = linked {
        return Ok(name);
    }
    let (mut copy, name) = created(folder)?;
    file.rewind()?;
    io::copy(file, &mut copy)?;
    copy.set_permissions(file.metadata()?.permissions())?;
    Ok(name)
}

fn created(folder: &Path) -> io::Result<(File, TempPath)> {
    // open(2) takes the umask's bits from these.
    let mut new = File::options();
    new.write(true).create_new(true).mode(0o666);
    temporary(folder, |name| new.open(name))
}

/// What `make` makes under a name that is not taken, and the name. The file is removed with it.
fn temporary<T>(
    folder: &Path,
    make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(T, TempPath)> {
    let file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .make_in(folder, make)?;
    Ok(file.into_parts())
}

fn open_to(readers: Readers, file: &File) -> io::Result<()> {
    match readers {
        Readers::All => file.set_permissions(Permissions::from_mode(0o644)),
        Readers::Umask => Ok(()),
    }
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
    fn what_is_not_finished_has_no_name() {
        let folder = tempfile::tempdir().unwrap();
        let count = || fs::read_dir(folder.path()).unwrap().count();
        let named = usize::from(unnamed(folder.path()).is_none());
        let path = folder.path().join("page.html");
        write_by(&path, Readers::Umask, |file| {
            file.write_all(b"begun")?;
            assert_eq!(count(), named);
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "begun");
        let full = write_by(&path, Readers::Umask, |_| {
            Err(io::Error::from_raw_os_error(28))
        });
        let text = full.unwrap_err().to_string();
        assert!(
            text.ends_with(": No space left on device (os error 28)"),
            "{text}"
        );
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), count()),
            ("begun", 1)
        );
    }

    #[test]
    fn a_file_system_without_unnamed_files_has_named_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (mut file, name) = created(folder.path()).unwrap();
        file.write_all(b"x").unwrap();
        name.persist(folder.path().join("x")).unwrap();
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"x");
        drop(created(folder.path()).unwrap());
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
