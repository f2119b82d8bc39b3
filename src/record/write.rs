//! Writes a tree to a new path: as a whole, or not at all.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::observe::root::{RecordedEntry, RecordedTree};

/// `x` of `x.tar.gz`.
pub(crate) fn archive_stem(path: &Path) -> Option<&OsStr> {
    let name = path.file_name()?.as_bytes();
    let stem = name
        .strip_suffix(b".tar.gz")
        .or(name.strip_suffix(b".tgz"))?;
    Some(OsStr::from_bytes(if stem.is_empty() {
        b"snapshot"
    } else {
        stem
    }))
}

/// The folder in which the path will appear.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// The name prefix of unfinished files. They are removed if the writing fails.
const UNFINISHED: &str = ".numa-audit-unfinished-";

/// Whether a signal ends the program: the writing ends, and what is unfinished is removed.
type IsEnded<'a> = &'a dyn Fn() -> bool;

fn go_on(is_ended: IsEnded) -> io::Result<()> {
    match is_ended() {
        true => Err(ErrorKind::Interrupted.into()),
        false => Ok(()),
    }
}

const OWN_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Writes into a file without a name, which cannot remain after a crash, and links it to its name when it is complete.
pub(crate) fn write_archive(
    tree: &RecordedTree,
    path: &Path,
    stem: &OsStr,
    is_ended: IsEnded,
) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(parent(path), flags, OWN_FILE) {
        Ok(file) => {
            let file = File::from(file);
            pack(tree, stem, &file, is_ended)?;
            let open = format!("/proc/self/fd/{}", file.as_raw_fd());
            Ok(rustix::fs::linkat(
                CWD,
                open,
                CWD,
                path,
                AtFlags::SYMLINK_FOLLOW,
            )?)
        }
        // Network file systems have no files without names.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let file = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .tempfile_in(parent(path))
                .map_err(without_path)?;
            pack(tree, stem, file.as_file(), is_ended)?;
            file.persist_noclobber(path)?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Only the kind of error: `tempfile` adds the name of the temporary file, which means nothing to the user.
fn without_path(error: io::Error) -> io::Error {
    error.kind().into()
}

fn pack(tree: &RecordedTree, stem: &OsStr, file: &File, is_ended: IsEnded) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    for (name, entry) in tree.entries() {
        go_on(is_ended)?;
        let name = Path::new(stem).join(name);
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        match entry {
            RecordedEntry::File(bytes) => {
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, name, bytes.as_slice())?;
            }
            RecordedEntry::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, name, target)?;
            }
            RecordedEntry::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o700);
                header.set_size(0);
                archive.append_data(&mut header, name, io::empty())?;
            }
        }
    }
    archive.into_inner()?.finish()?.sync_all()
}

/// Writes a folder with a temporary name, and renames it when it is complete.
pub(crate) fn write_folder(tree: &RecordedTree, path: &Path, is_ended: IsEnded) -> io::Result<()> {
    let own = Permissions::from_mode(0o700);
    let mut unfinished = tempfile::Builder::new();
    let folder = unfinished
        .prefix(UNFINISHED)
        .permissions(own)
        .tempdir_in(parent(path))
        .map_err(without_path)?;
    // From here on the open folder is used: other users may be able to rename its path.
    let root = rustix::fs::open(folder.path(), FOLDER, Mode::empty())?;
    for (name, entry) in tree.entries() {
        go_on(is_ended)?;
        write_entry(&root, name, entry)?;
    }
    match rustix::fs::renameat_with(CWD, folder.path(), CWD, path, RenameFlags::NOREPLACE) {
        // Network file systems lack this flag. Instead an empty folder is created, which a rename may replace.
        Err(Errno::INVAL | Errno::NOSYS) => {
            DirBuilder::new().mode(0o700).create(path)?;
            fs::rename(folder.path(), path)?;
        }
        renamed => renamed?,
    }
    // It has its name now, and must not be removed.
    let _ = folder.keep();
    Ok(())
}

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Writes one entry below `root`, with the folders above it. Follows no link on the way.
fn write_entry(root: &OwnedFd, path: &Path, entry: &RecordedEntry) -> io::Result<()> {
    let (Some(name), Some(above)) = (path.file_name(), path.parent()) else {
        return Ok(());
    };
    let mut folder = root.try_clone()?;
    for step in above.components() {
        folder = enter(&folder, step.as_os_str())?;
    }
    match entry {
        RecordedEntry::File(bytes) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, name, flags, OWN_FILE)?;
            File::from(file).write_all(bytes)
        }
        RecordedEntry::Link(text) => Ok(rustix::fs::symlinkat(text.as_path(), &folder, name)?),
        RecordedEntry::Folder => enter(&folder, name).map(drop),
    }
}

/// Opens a folder, and creates it where it does not exist.
fn enter(folder: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::openat(folder, name, FOLDER, Mode::empty())?)
}
