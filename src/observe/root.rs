//! The one door to files: the running system, or a recorded tree and never outside it.

pub mod archive;
pub mod confined;
pub mod manifest;
pub mod named_file;
pub mod snapshot;
pub mod tree;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::machine::gap::Reason;
use crate::observe::patience::Patience;
use crate::observe::process::fd::is_kept;
use crate::observe::root::confined::{folder_names, link_within, names_of, open_within};
use crate::observe::root::tree::{Entry, Tree};
use crate::units::Pid;

/// The largest file that is read whole: more than the environment may have where the kernel itself put it there (6 MiB).
const LARGEST: u64 = 8 << 20;

/// More than nearly all files have, so that they are read at once.
const USUAL: usize = 4 << 10;

/// The largest file that is read by lines. A `numa_maps` of 100,000 mappings has 8 MB.
pub(crate) const LARGEST_BY_LINES: u64 = 256 << 20;

/// The longest line of these: a path, each byte of it escaped, and counts on a thousand nodes.
pub(crate) const LONGEST_LINE: u64 = 64 << 10;

/// Whether a folder's names are looked for as such (`net/eth0` of a device, wherever its bus hangs), so that a recording
/// has to keep them. Elsewhere a name is only looked for to read what is below it, which then is kept.
fn is_listed_for_names(path: &str) -> bool {
    let is_device = path.starts_with("sys/devices/") && !path.starts_with("sys/devices/system/");
    is_device || path.starts_with("sys/bus/pci/devices/")
}

/// The files of a process for which the kernel takes the lock on its memory map, or waits for an exec of it to end: where
/// the process is stuck with either, so is who reads them, until he is killed (proc_pid_cmdline_read, environ_read and the
/// opens of maps and numa_maps in the kernel's fs/proc).
const OF_MEMORY: &[&str] = &["cmdline", "environ", "maps", "numa_maps", "pagemap"];

/// The process for which the reader of this file may have to wait. What is below `fdinfo` the drivers write of the files that
/// it has open. No other file that is read below /proc/PID waits for anything but the kernel's own short locks.
fn waits_for(path: &str) -> Option<Pid> {
    let (pid, rest) = path.strip_prefix("proc/")?.split_once('/')?;
    let waits = rest.starts_with("fdinfo/") || OF_MEMORY.contains(&rest.rsplit('/').next()?);
    pid.parse().ok().map(Pid).filter(|_| waits)
}

/// Where files are read. Paths are given without the leading slash.
#[derive(Debug)]
pub struct Root {
    place: Place,
    patience: Patience,
    /// Files that a recording's maker was not permitted to read.
    denied: BTreeSet<String>,
    /// Processes whose memory did not answer in time.
    silent: Mutex<BTreeSet<Pid>>,
    /// Whether there is one: it is asked for at every file.
    has_silent: AtomicBool,
    /// Whether NVIDIA's driver does not answer.
    is_driver_silent: AtomicBool,
    /// See [`Root::own_pid`].
    own_pid: OnceLock<Option<Pid>>,
    tap: Option<Mutex<Tap>>,
}

/// A folder below a [`Root`].
#[derive(Debug)]
pub struct Folder {
    path: String,
    /// `None` where files are found by their whole path.
    fd: Option<OwnedFd>,
}

/// A file that was opened.
enum Opened<'a> {
    File(File),
    /// One of an archive.
    Kept(Cursor<&'a [u8]>),
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
    /// The processes whose memory did not answer in time.
    pub silent: BTreeSet<Pid>,
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
            patience: Patience::default(),
            denied: BTreeSet::new(),
            silent: Mutex::default(),
            has_silent: AtomicBool::new(false),
            is_driver_silent: AtomicBool::new(false),
            own_pid: OnceLock::new(),
            tap: None,
        }
    }

    pub(crate) fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// Answers "permission denied" for these files.
    pub fn deny(&mut self, files: impl IntoIterator<Item = String>) {
        self.denied.extend(files);
    }

    /// Keeps all that is read from now on, for [`Root::take_tap`].
    pub fn tapped(mut self) -> Self {
        self.tap = Some(Mutex::default());
        self
    }

    /// All that was read since [`Root::tapped`]. It is taken from here: a thread that is stuck may hold on to the rest.
    pub fn take_tap(&self) -> Tap {
        let tap = self.tap().map(|mut tap| std::mem::take(&mut *tap));
        Tap {
            silent: self.silent().clone(),
            ..tap.unwrap_or_default()
        }
    }

    /// Answers from now on that this process's memory did not answer in time, without another try.
    pub fn give_up(&self, pid: Pid) {
        self.silent().insert(pid);
        self.has_silent.store(true, Ordering::Release);
    }

    /// The same for the files that NVIDIA's driver writes.
    pub fn give_up_driver(&self) {
        self.is_driver_silent.store(true, Ordering::Release);
    }

    /// Whether to say so of this file.
    fn is_given_up(&self, path: &str) -> bool {
        if self.is_driver_silent.load(Ordering::Acquire) && path.starts_with("proc/driver/nvidia/")
        {
            return true;
        }
        self.has_silent.load(Ordering::Acquire)
            && waits_for(path).is_some_and(|pid| self.silent().contains(&pid))
    }

    fn silent(&self) -> MutexGuard<'_, BTreeSet<Pid>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
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
        match self.is_live() {
            true => match self.open(path)? {
                Opened::File(file) => Ok(file),
                Opened::Kept(_) => Err(Reason::Absent),
            },
            false => Err(Reason::Absent),
        }
    }

    /// Whether all that is read is kept for a recording.
    pub fn is_tapped(&self) -> bool {
        self.tap.is_some()
    }

    /// This program's own PID in `/proc`: another than it knows itself by where `/proc` shows another PID namespace.
    /// `None` for a recorded tree.
    pub fn own_pid(&self) -> Option<Pid> {
        *self.own_pid.get_or_init(|| {
            let link = std::fs::read_link("/proc/self").ok();
            let link = link.filter(|_| self.is_live())?;
            number(link.to_str()?).map(Pid)
        })
    }

    /// Whether processes and threads have the same numbers in `/proc` as in calls of the kernel.
    pub fn is_of_own_numbers(&self) -> bool {
        self.own_pid() == Some(Pid(std::process::id()))
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        self.read_into(path, &mut bytes)?;
        Ok(bytes)
    }

    /// The same, into a buffer that may have been used before.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn read_into(&self, path: &str, bytes: &mut Vec<u8>) -> Result<(), Reason> {
        // A recording keeps no more of what is too large either: it replays to the same answer.
        self.read_at_most(path, LARGEST + 1, bytes)?;
        match bytes.len() as u64 > LARGEST {
            true => Err(Reason::Malformed("larger than 8 MiB".into())),
            false => Ok(()),
        }
    }

    /// A file's first bytes, `most` of them: all of it where it has no more.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn read_start(&self, path: &str, most: u64) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        self.read_at_most(path, most, &mut bytes)?;
        Ok(bytes)
    }

    fn read_at_most(&self, path: &str, most: u64, bytes: &mut Vec<u8>) -> Result<(), Reason> {
        bytes.clear();
        bytes.shrink_to(16 * USUAL);
        bytes.reserve(USUAL);
        let read = match self.open(path)? {
            Opened::File(file) if self.is_live() && is_of_one_record(path) => {
                read_record(file, most, bytes)
            }
            Opened::File(file) => file.take(most).read_to_end(bytes),
            Opened::Kept(kept) => kept.take(most).read_to_end(bytes),
        };
        read.map_err(|error| self.note(path, &error))?;
        self.keep(path, bytes);
        Ok(())
    }

    /// Opens a folder to read several files below it.
    pub fn folder_at(&self, path: String) -> Folder {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        // A recording keeps files by their whole path, and a recorded tree is never left by one.
        let is_quick = self.is_live() && self.tap.is_none();
        let fd = is_quick.then(|| rustix::fs::openat(CWD, live_path(&path), flags, Mode::empty()));
        Folder {
            fd: fd.and_then(Result::ok),
            path,
        }
    }

    /// [`Root::read_into`] of a file below a folder.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn read_below(
        &self,
        folder: &Folder,
        name: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let Some(fd) = &folder.fd else {
            return self.read_into(&format!("{}/{name}", folder.path), bytes);
        };
        bytes.clear();
        bytes.reserve(USUAL);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(fd, name, flags, Mode::empty());
        let read = file
            .map_err(io::Error::from)
            .and_then(|file| read_record(File::from(file), LARGEST + 1, bytes));
        read.map(drop).map_err(|error| Reason::from(&error))
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
        let mut kept = Vec::new();
        let mut file: Box<dyn BufRead + '_> = match self.open(path)? {
            Opened::File(file) if self.tap.is_none() => {
                Box::new(BufReader::with_capacity(64 << 10, file))
            }
            Opened::Kept(kept) => Box::new(kept),
            // For a recording the whole of it is read at once.
            Opened::File(file) => {
                let read = file.take(LARGEST_BY_LINES).read_to_end(&mut kept);
                read.map_err(|error| self.note(path, &error))?;
                self.keep(path, &kept);
                Box::new(Cursor::new(kept))
            }
        };
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
        let mut names = Vec::new();
        self.each_name(path, |name| names.push(name.to_owned()))?;
        names.sort_unstable();
        if let Some(mut tap) = self.tap() {
            for name in names.iter().filter(|_| is_listed_for_names(path)) {
                tap.tree.insert(format!("{path}/{name}"), Entry::Folder);
            }
        }
        Ok(names)
    }

    /// The folders of processes or threads in a folder, by number, ascending.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn numbers(&self, path: &str) -> Result<Vec<u32>, Reason> {
        let mut numbers = Vec::new();
        self.each_name(path, |name| numbers.extend(number(name)))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// [`Root::numbers`] of a folder that is open.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn numbers_in(&self, folder: &Folder) -> Result<Vec<u32>, Reason> {
        let Some(fd) = &folder.fd else {
            return self.numbers(&folder.path);
        };
        let mut numbers = Vec::new();
        names_of(fd, &mut |name| numbers.extend(number(name)))
            .map_err(|error| Reason::from(&error))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn each_name(&self, path: &str, mut take: impl FnMut(&str)) -> Result<(), Reason> {
        if self.denied.contains(path) {
            return Err(Reason::Denied);
        }
        let listed = match &self.place {
            Place::Live => live_names(path, &mut take),
            Place::Folder(root) => folder_names(root, path, &mut take),
            Place::Archive(tree) => match tree.names(path) {
                Some(names) => {
                    names.iter().for_each(|name| take(name));
                    Ok(())
                }
                None => Err(io::ErrorKind::NotFound.into()),
            },
        };
        listed.map_err(|error| self.note(path, &error))
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
        // Not half a million links of one process to be left out later.
        let is_of_process = path.starts_with("proc/");
        if let Some(mut tap) = self.tap()
            && (!is_of_process || target.to_str().is_some_and(is_kept))
        {
            tap.tree.insert(path, Entry::Link(target.clone()));
        }
        target
            .into_os_string()
            .into_string()
            .map_err(|_| Reason::Absent)
    }

    /// Opens a regular file.
    fn open(&self, path: &str) -> Result<Opened<'_>, Reason> {
        if self.denied.contains(path) {
            return Err(Reason::Denied);
        }
        if self.is_live() && self.is_given_up(path) {
            return Err(Reason::TimedOut(self.patience.process()));
        }
        let opened = match &self.place {
            Place::Live => File::open(live_path(path)).map(Opened::File),
            Place::Folder(root) => open_within(root, path).map(Opened::File),
            Place::Archive(tree) => match tree.file(path) {
                Some(bytes) => Ok(Opened::Kept(Cursor::new(bytes))),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        };
        opened.map_err(|error| match self.note(path, &error) {
            Reason::Absent if self.is_given_up(path) => Reason::TimedOut(self.patience.process()),
            reason => reason,
        })
    }

    /// Keeps a file's bytes for the recording that is being made, if one is, unless its reader was given up meanwhile.
    pub fn keep(&self, path: &str, bytes: &[u8]) {
        if let Some(mut tap) = self.tap()
            && !self.is_given_up(path)
        {
            tap.tree.insert(path, Entry::File(bytes.to_vec()));
        }
    }

    fn tap(&self) -> Option<MutexGuard<'_, Tap>> {
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

/// A PID's or TID's folder: the kernel writes neither a sign nor leading zeros.
pub fn number(name: &str) -> Option<u32> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_digit());
    let number = name.parse().ok().filter(|_| is_plain)?;
    (number == 0 || !name.starts_with('0')).then_some(number)
}

fn live_names(path: &str, take: &mut impl FnMut(&str)) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, live_path(path), flags, Mode::empty())?;
    names_of(&folder, take)
}

/// Whether the kernel hands the whole of this file over at once where there is room for it: it is a sequence of one record
/// (proc_single_open in its fs/proc/base.c).
fn is_of_one_record(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    path.starts_with("proc/") && ["stat", "status", "cgroup"].contains(&name) && path != "proc/stat"
}

/// Reads a file of one record, which is whole when there was room for more. Anything else is read to its end.
fn read_record(mut file: File, most: u64, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let room = bytes.capacity();
    let mut read = || rustix::io::read(&file, rustix::buffer::spare_capacity(bytes));
    let size = rustix::io::retry_on_intr(&mut read)?;
    match size < room {
        true => Ok(size),
        false => file.by_ref().take(most - size as u64).read_to_end(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_which_files_wait_for_the_process() {
        for path in [
            "proc/7/cmdline",
            "proc/7/task/8/numa_maps",
            "proc/7/fdinfo/3",
        ] {
            assert_eq!(waits_for(path), Some(Pid(7)), "{path}");
        }
        for path in [
            "proc/7/stat",
            "proc/7/fd/3",
            "proc/cmdline",
            "proc/self/maps",
            "sys/7/maps",
        ] {
            assert_eq!(waits_for(path), None, "{path}");
        }
    }

    #[test]
    fn numbers_are_as_the_kernel_writes_them() {
        for (name, expected) in [
            ("0", Some(0)),
            ("71", Some(71)),
            ("4294967295", Some(u32::MAX)),
        ] {
            assert_eq!(number(name), expected);
        }
        for name in ["", "+7", "07", "-1", "4294967296", "7x", " 7"] {
            assert_eq!(number(name), None, "{name}");
        }
    }

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
