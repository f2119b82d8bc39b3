//! The one door to files: the running system, or a recorded tree and never outside it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::tree::{Entry, Tree};
use crate::model::gap::Reason;

/// The largest file that is read whole: more than argv and the environment together may have (6 MiB).
const LARGEST: u64 = 8 << 20;

/// The largest file that is read by lines. A `numa_maps` of 100,000 mappings has 8 MB.
pub(super) const LARGEST_BY_LINES: u64 = 256 << 20;

/// The longest line of these: a path, each byte of it escaped, and counts on a thousand nodes.
pub(super) const LONGEST_LINE: u64 = 64 << 10;

/// Whether a folder's names are looked for as such (`net/eth0` of a device, wherever its bus hangs), so that a recording
/// has to keep them. Elsewhere a name is only looked for to read what is below it, which then is kept.
fn is_listed_for_names(path: &str) -> bool {
    let is_device = path.starts_with("sys/devices/") && !path.starts_with("sys/devices/system/");
    is_device || path.starts_with("sys/bus/pci/devices/")
}

/// Where files are read. Paths are given without the leading slash.
#[derive(Debug)]
pub struct Root {
    place: Place,
    /// Files that a recording's maker was not permitted to read.
    denied: BTreeSet<String>,
    tap: Option<Mutex<Tap>>,
}

#[derive(Debug)]
enum Place {
    Live,
    Folder(OwnedFd),
    Archive(Tree),
}

/// All that was read through a [`Root`].
#[derive(Debug, Default)]
pub struct Tap {
    /// Every file's bytes, as the kernel gave them.
    pub tree: Tree,
    /// The files that could not be read for lack of permission.
    pub denied: BTreeSet<String>,
}

impl Root {
    /// The running system.
    pub fn live() -> Self {
        Self::new(Place::Live)
    }

    /// A recorded tree in a folder.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub fn folder(path: &std::path::Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self::new(Place::Folder(fd)))
    }

    /// A recorded tree that was unpacked into memory.
    pub fn archive(tree: Tree) -> Self {
        Self::new(Place::Archive(tree))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            denied: BTreeSet::new(),
            tap: None,
        }
    }

    /// Answers "permission denied" for these files.
    pub fn deny(&mut self, files: impl IntoIterator<Item = String>) {
        self.denied.extend(files);
    }

    /// Keeps all that is read from now on, for [`Root::into_tap`].
    pub fn tapped(mut self) -> Self {
        self.tap = Some(Mutex::default());
        self
    }

    /// All that was read since [`Root::tapped`].
    pub fn into_tap(self) -> Tap {
        let tap = self.tap.map(Mutex::into_inner);
        tap.map_or_else(Tap::default, |tap| {
            tap.unwrap_or_else(PoisonError::into_inner)
        })
    }

    /// Drops from the tap what was read below this folder.
    pub fn forget(&self, folder: &str) {
        if let Some(mut tap) = self.tap() {
            tap.tree.retain(|path| !path.starts_with(folder));
        }
    }

    /// Whether this is the running system, where what was there may be gone the next moment.
    pub fn is_live(&self) -> bool {
        matches!(self.place, Place::Live)
    }

    /// A file of the running system itself, for what needs more of it than its bytes. A recording keeps nothing of it unless
    /// it is handed to [`Root::keep`].
    ///
    /// # Errors
    /// The reason for a gap; absent in a recorded tree.
    pub fn open_live(&self, path: &str) -> Result<File, Reason> {
        match (&self.place, self.denied.contains(path)) {
            (_, true) => Err(Reason::Denied),
            (Place::Live, _) => {
                File::open(live_path(path)).map_err(|error| self.note(path, &error))
            }
            _ => Err(Reason::Absent),
        }
    }

    /// Whether a recording is being made.
    pub fn is_tapped(&self) -> bool {
        self.tap.is_some()
    }

    /// Adds a file that was read otherwise to the recording that is being made.
    pub fn keep(&self, path: &str, bytes: Vec<u8>) {
        if let Some(mut tap) = self.tap() {
            tap.tree.insert(path, Entry::File(bytes));
        }
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        let mut file = self.open(path)?;
        match file.by_ref().take(LARGEST + 1).read_to_end(&mut bytes) {
            Ok(size) if size as u64 > LARGEST => Err(Reason::Malformed("larger than 8 MiB".into())),
            Ok(_) => Ok(bytes),
            Err(error) => Err(self.note(path, &error)),
        }
    }

    /// Hands a file's lines over one at a time, without their newlines.
    ///
    /// # Errors
    /// The reason for a gap, or the first that `take` gives.
    pub fn read_lines<E: Into<Reason>>(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), Reason> {
        let mut file = self.open(path)?;
        let mut line = Vec::new();
        let mut all = 0;
        loop {
            line.clear();
            match file
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
            {
                Ok(0) => return Ok(()),
                Ok(size) if size as u64 == LONGEST_LINE => {
                    return Err(Reason::Malformed("has a line of more than 64 KiB".into()));
                }
                Ok(size) if all + size as u64 > LARGEST_BY_LINES => {
                    return Err(Reason::Malformed("larger than 256 MiB".into()));
                }
                Ok(_) if line.pop() != Some(b'\n') => {
                    return Err(Reason::Malformed("ends within a line".into()));
                }
                Ok(size) => {
                    all += size as u64;
                    take(&line).map_err(Into::into)?;
                }
                Err(error) => return Err(self.note(path, &error)),
            }
        }
    }

    /// The names in a folder, sorted. One that is no UTF-8 is none that is looked for.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn names(&self, path: &str) -> Result<Vec<String>, Reason> {
        if self.denied.contains(path) {
            return Err(Reason::Denied);
        }
        let listed = match &self.place {
            Place::Live => live_names(path),
            Place::Folder(root) => folder_names(root, path),
            Place::Archive(tree) => tree.names(path).ok_or(io::ErrorKind::NotFound.into()),
        };
        let mut names = listed.map_err(|error| self.note(path, &error))?;
        names.sort_unstable();
        if let Some(mut tap) = self.tap() {
            for name in names.iter().filter(|_| is_listed_for_names(path)) {
                tap.tree.insert(format!("{path}/{name}"), Entry::Folder);
            }
        }
        Ok(names)
    }

    /// A symbolic link's text.
    ///
    /// # Errors
    /// The reason for a gap; absent where it is no link.
    pub fn link(&self, path: &str) -> Result<String, Reason> {
        let target = match &self.place {
            Place::Live => std::fs::read_link(live_path(path)),
            Place::Folder(root) => link_within(root, path),
            Place::Archive(tree) => tree.link(path).ok_or(io::ErrorKind::NotFound.into()),
        };
        // What is no link answers EINVAL.
        let absent =
            |error: io::Error| match error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) {
                true => Reason::Absent,
                false => self.note(path, &error),
            };
        let target = target.map_err(absent)?;
        if let Some(mut tap) = self.tap() {
            tap.tree.insert(path, Entry::Link(target.clone()));
        }
        target
            .into_os_string()
            .into_string()
            .map_err(|_| Reason::Absent)
    }

    /// Opens a regular file. With a tap the whole of it is read at once.
    fn open(&self, path: &str) -> Result<Box<dyn BufRead + '_>, Reason> {
        if self.denied.contains(path) {
            return Err(Reason::Denied);
        }
        let file: Box<dyn BufRead + '_> = match &self.place {
            Place::Live => match File::open(live_path(path)) {
                Ok(file) => Box::new(BufReader::with_capacity(64 << 10, file)),
                Err(error) => return Err(self.note(path, &error)),
            },
            Place::Folder(root) => match open_within(root, path) {
                Ok(file) => Box::new(BufReader::new(file)),
                Err(error) => return Err(self.note(path, &error)),
            },
            Place::Archive(tree) => Box::new(Cursor::new(tree.file(path).ok_or(Reason::Absent)?)),
        };
        if self.tap.is_none() {
            return Ok(file);
        }
        let mut bytes = Vec::new();
        match file.take(LARGEST_BY_LINES).read_to_end(&mut bytes) {
            Ok(_) => {
                if let Some(mut tap) = self.tap() {
                    tap.tree.insert(path, Entry::File(bytes.clone()));
                }
                Ok(Box::new(Cursor::new(bytes)))
            }
            Err(error) => Err(self.note(path, &error)),
        }
    }

    fn tap(&self) -> Option<std::sync::MutexGuard<'_, Tap>> {
        let tap = self.tap.as_ref()?;
        Some(tap.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The reason for a gap; a recording keeps those that replaying could not find out.
    fn note(&self, path: &str, error: &io::Error) -> Reason {
        let reason = Reason::from(error);
        if reason == Reason::Denied
            && let Some(mut tap) = self.tap()
        {
            tap.denied.insert(path.to_owned());
        }
        reason
    }
}

fn live_path(path: &str) -> PathBuf {
    PathBuf::from(format!("/{path}"))
}

fn live_names(path: &str) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(live_path(path))?;
    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
    names.filter_map(Result::transpose).collect()
}

/// Opens what is a regular file within the tree: links cannot lead out of it, and neither a FIFO
/// nor a device makes it wait.
fn open_within(root: &OwnedFd, path: &str) -> io::Result<File> {
    let file = resolve(root, path, OFlags::NONBLOCK)?;
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(io::Error::other("not a regular file")),
    }
}

fn link_within(root: &OwnedFd, path: &str) -> io::Result<PathBuf> {
    let link = resolve(root, path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let target = rustix::fs::readlinkat(&link, "", Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
}

fn folder_names(root: &OwnedFd, path: &str) -> io::Result<Vec<String>> {
    let folder = resolve(
        root,
        if path.is_empty() { "." } else { path },
        OFlags::DIRECTORY,
    )?;
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(folder)? {
        if let Ok(name) = entry?.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_the_names_of_devices_wherever_their_bus_hangs() {
        for path in [
            "sys/devices/pci0000:0f/0000:0f:00.0/0000:10:00.0/net",
            "sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0004:00/VMBUS:00/x/pci0001:00/0001:00:00.0/net",
            "sys/devices/platform/soc/pci0000:00/0000:00:01.0/nvme",
            "sys/bus/pci/devices/0000:10:00.0/net",
        ] {
            assert!(is_listed_for_names(path), "{path}");
        }
        for path in [
            "sys/devices/system/node",
            "sys/bus/pci/devices",
            "proc",
            "proc/1/fd",
        ] {
            assert!(!is_listed_for_names(path), "{path}");
        }
    }
}
