//! A recorded tree in a folder. No path and no link leads out of it.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::Errno;

/// Opens a regular file of the tree. Links cannot lead out of the tree, and FIFOs and devices cannot block.
pub(crate) fn open_within(root: &OwnedFd, path: &str) -> io::Result<File> {
    let file = resolve(root, path, OFlags::NONBLOCK)?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(io::Error::other("not a regular file")),
    }
}

/// The target of a symbolic link.
pub(crate) fn link_within(root: &OwnedFd, path: &str) -> io::Result<PathBuf> {
    let link = resolve(root, path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

/// Passes the names in a folder to `take`, unsorted.
pub(crate) fn folder_names(
    root: &OwnedFd,
    path: &str,
    take: &mut impl FnMut(&str),
) -> io::Result<()> {
    let path = if path.is_empty() { "." } else { path };
    names_of(&resolve(root, path, OFlags::DIRECTORY)?, take)
}

/// The same for an open folder.
pub(crate) fn names_of(folder: &OwnedFd, take: &mut impl FnMut(&str)) -> io::Result<()> {
    names_until(folder, &mut |name| {
        take(name);
        ControlFlow::Continue(())
    })
}

/// The same until `take` breaks.
pub(crate) fn names_until(
    folder: &OwnedFd,
    take: &mut impl FnMut(&str) -> ControlFlow<()>,
) -> io::Result<()> {
    // Space for a few hundred entries: one call lists nearly every folder, and a second one finds the end.
    let mut room = [MaybeUninit::uninit(); 8 << 10];
    let mut entries = RawDir::new(folder, &mut room);
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            // The folder was removed, or its process ended, during the listing.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if let Ok(name) = entry.file_name().to_str()
            && name != "."
            && name != ".."
            && take(name).is_break()
        {
            return Ok(());
        }
    }
    Ok(())
}

fn resolve(root: &OwnedFd, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, flags, Mode::empty(), within) {
        Err(Errno::NOSYS) => Err(io::Error::other(
            "this kernel cannot confine paths to a folder (openat2, Linux 5.6): pack the snapshot as a .tar.gz",
        )),
        opened => Ok(opened?),
    }
}
