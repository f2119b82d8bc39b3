//! The only place that opens files for an observation: of the running system, or of a recorded tree and never outside it.

pub(crate) mod archive;
pub(crate) mod blocking;
pub(crate) mod confined;
pub(crate) mod held;
pub(crate) mod lines;
mod links;
pub(crate) mod manifest;
pub(crate) mod named_file;
pub(crate) mod snapshot;
pub(crate) mod stand_ins;
pub(crate) mod tap;
pub(crate) mod tree;

use held::HeldFolders;
use stand_ins::StandIns;

pub(crate) use blocking::Unresponsive;
pub(crate) use confined::{folder_names, link_within, names_of, names_until, open_within};
pub(crate) use lines::{LARGEST_BY_LINES, LineSplitter};
pub(crate) use manifest::{FORMAT, Manifest, parse_manifest};
pub(crate) use named_file::{open_named, read_named};
pub(crate) use tap::{PartKept, Tap, keeps_names_of};
pub(crate) use tree::{RecordedEntry, RecordedTree};

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{CWD, Mode, OFlags};

use crate::machine::Reason;
use crate::observe::patience::Patience;
use crate::units::Pid;

/// The largest file that is read whole, in bytes. An environment that the kernel put in place has at most 6 MiB.
const LARGEST_WHOLE_FILE: u64 = 8 << 20;

/// Most files are smaller than this, so that one read is enough.
const USUAL_SIZE: usize = 4 << 10;

/// Where files are read. Paths have no leading slash.
#[derive(Debug)]
pub(crate) struct Root {
    location: Location,
    patience: Patience,
    /// Files that the user who made the recording was not permitted to read.
    denied: BTreeSet<String>,
    unresponsive: Unresponsive,
    stand_ins: StandIns,
    held: HeldFolders,
    own_pid: OnceLock<Option<Pid>>,
    is_in_child: bool,
    tap: Option<Mutex<Tap>>,
    part_kept: Option<PartKept>,
}

#[derive(Debug)]
enum Location {
    Live,
    Folder(OwnedFd),
    Archive(RecordedTree),
}

/// A folder below a [`Root`].
#[derive(Debug)]
pub(crate) struct Folder {
    path: String,
    /// `None` where files are opened by their whole path.
    fd: Option<OwnedFd>,
}

enum OpenFile<'a> {
    File(File),
    Archived(Cursor<&'a [u8]>),
}

impl Root {
    /// The running system.
    pub(crate) fn live() -> Self {
        Self::new(Location::Live)
    }

    /// A recorded tree in a folder.
    ///
    /// # Errors
    /// When the folder cannot be opened.
    pub(crate) fn folder(path: &std::path::Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(Self::new(Location::Folder(fd)))
    }

    /// A recorded tree in memory.
    pub(crate) fn archive(tree: RecordedTree) -> Self {
        Self::new(Location::Archive(tree))
    }

    fn new(location: Location) -> Self {
        Self {
            location,
            patience: Patience::default(),
            denied: BTreeSet::new(),
            unresponsive: Unresponsive::default(),
            stand_ins: StandIns::default(),
            held: HeldFolders::default(),
            own_pid: OnceLock::new(),
            is_in_child: false,
            tap: None,
            part_kept: None,
        }
    }

    pub(crate) fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// See [`crate::observe::Source::in_child`].
    pub(crate) fn set_in_child(&mut self, is_in_child: bool) {
        self.is_in_child = is_in_child;
    }

    /// Whether this process reads for its parent, which is the same program.
    pub(crate) fn is_in_child(&self) -> bool {
        self.is_in_child
    }

    /// Answers "permission denied" for these files.
    pub(crate) fn deny(&mut self, files: impl IntoIterator<Item = String>) {
        self.denied.extend(files);
    }

    /// Keeps what is read from now on, for [`Root::take_tap`].
    pub(crate) fn tapped(mut self, part_kept: PartKept) -> Self {
        self.part_kept = Some(part_kept);
        self.tap = Some(Mutex::default());
        self
    }

    /// What was read since [`Root::tapped`]. It is moved out, because an abandoned thread may hold the `Root` itself.
    pub(crate) fn take_tap(&self) -> Tap {
        let tap = self.tap().map(|mut tap| std::mem::take(&mut *tap));
        Tap {
            silent: self.unresponsive.processes(),
            ..tap.unwrap_or_default()
        }
    }

    /// Reads the files of this process through one of its threads from now on: its main thread has ended, and the kernel shows
    /// no memory and no open file of it.
    pub(crate) fn read_through(&self, pid: Pid, tid: u32) {
        self.stand_ins.add(pid, tid);
    }

    /// The folder of the files that belong to a process as a whole: memory, argv, environment, open files.
    pub(crate) fn process_folder(&self, pid: Pid) -> String {
        match self.stand_ins.of(pid) {
            Some(tid) => format!("proc/{pid}/task/{tid}"),
            None => format!("proc/{pid}"),
        }
    }

    /// The thread that a system call about the process has to name.
    pub(crate) fn thread_to_ask(&self, pid: Pid) -> Pid {
        self.stand_ins.of(pid).map_or(pid, Pid)
    }

    /// Reads the files of the process that has this PID now through its open folder, until [`Root::hold_only`]. Of a recorded
    /// tree nothing is held.
    pub(crate) fn hold(&self, pid: Pid) {
        if self.is_live() {
            self.held.hold(pid);
        }
    }

    /// Closes the folders of the processes that `keep` does not accept.
    pub(crate) fn hold_only(&self, keep: impl Fn(Pid) -> bool) {
        self.held.retain(keep);
    }

    /// Closes the folder of this process.
    pub(crate) fn release(&self, pid: Pid) {
        self.held.release(pid);
    }

    /// Whether the files of this process are read through its open folder.
    pub(crate) fn is_held(&self, pid: Pid) -> bool {
        self.held.of(pid).is_some()
    }

    /// Reports from now on that the memory of this process did not answer in time, without another try.
    pub(crate) fn give_up(&self, pid: Pid) {
        self.give_up_because(pid, Reason::TimedOut(self.patience.process()));
    }

    /// The same with another reason.
    pub(crate) fn give_up_because(&self, pid: Pid, reason: Reason) {
        self.unresponsive.add(pid, reason);
    }

    /// The same for every process.
    pub(crate) fn give_up_all(&self, reason: Reason) {
        self.unresponsive.add_all(reason);
    }

    /// The same for the files of NVIDIA's driver.
    pub(crate) fn give_up_driver(&self, reason: Reason) {
        self.unresponsive.add_nvidia_driver(reason);
    }

    /// Whether this is the running system, where files can vanish at any time.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.location, Location::Live)
    }

    /// An open file of the running system, for callers that need more than its bytes. A recording has only those bytes of it
    /// that are passed to [`Root::keep`]. In a recorded tree the file is absent.
    pub(crate) fn open_live(&self, path: &str) -> Result<File, Reason> {
        if !self.is_live() {
            return Err(Reason::Absent);
        }
        match self.open(path)? {
            OpenFile::File(file) => Ok(file),
            OpenFile::Archived(_) => Err(Reason::Absent),
        }
    }

    /// Whether a recording is being made.
    pub(crate) fn is_tapped(&self) -> bool {
        self.tap.is_some()
    }

    /// This program's own PID in `/proc`. It differs from `getpid` where `/proc` shows another PID namespace. `None` for a
    /// recorded tree.
    pub(crate) fn own_pid(&self) -> Option<Pid> {
        *self.own_pid.get_or_init(|| {
            let link = std::fs::read_link("/proc/self").ok();
            let link = link.filter(|_| self.is_live())?;
            number(link.to_str()?).map(Pid)
        })
    }

    /// Whether PIDs in `/proc` can be passed to system calls.
    pub(crate) fn is_of_own_numbers(&self) -> bool {
        self.own_pid() == Some(Pid(std::process::id()))
    }

    /// The bytes of a file.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        self.read_into(path, &mut bytes)?;
        Ok(bytes)
    }

    /// [`Root::read`] into a buffer that is reused.
    pub(crate) fn read_into(&self, path: &str, bytes: &mut Vec<u8>) -> Result<(), Reason> {
        // A recording keeps one byte more than the limit, so that its replay has the same answer.
        self.read_at_most(path, LARGEST_WHOLE_FILE + 1, bytes)?;
        if bytes.len() as u64 > LARGEST_WHOLE_FILE {
            return Err(Reason::Malformed("larger than 8 MiB".into()));
        }
        Ok(())
    }

    /// The first bytes of a file, at most `most`.
    pub(crate) fn read_start(&self, path: &str, most: u64) -> Result<Vec<u8>, Reason> {
        let mut bytes = Vec::new();
        self.read_at_most(path, most, &mut bytes)?;
        Ok(bytes)
    }

    fn read_at_most(&self, path: &str, most: u64, bytes: &mut Vec<u8>) -> Result<(), Reason> {
        bytes.clear();
        bytes.shrink_to(16 * USUAL_SIZE);
        bytes.reserve(USUAL_SIZE);
        let read = match self.open(path)? {
            OpenFile::File(file) if self.is_live() && is_of_one_record(path) => {
                read_record(file, most, bytes)
            }
            OpenFile::File(file) => file.take(most).read_to_end(bytes),
            OpenFile::Archived(file) => file.take(most).read_to_end(bytes),
        };
        read.map_err(|error| self.reason(path, &error))?;
        self.keep(path, bytes);
        Ok(())
    }

    /// Opens a folder to read several files below it.
    pub(crate) fn folder_at(&self, path: String) -> Folder {
        // A recording keeps files by their whole path, and in a recorded tree every path is confined.
        let is_plain = self.is_live() && self.tap.is_none();
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let fd = is_plain.then(|| self.open_at(&path, flags).ok()).flatten();
        Folder { path, fd }
    }

    /// [`Root::read_into`] for a file below a folder.
    pub(crate) fn read_below(
        &self,
        folder: &Folder,
        name: &str,
        bytes: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let Some(fd) = &folder.fd else {
            return self.read_into(&format!("{}/{name}", folder.path), bytes);
        };
        bytes.clear();
        bytes.reserve(USUAL_SIZE);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(fd, name, flags, Mode::empty());
        let read = file
            .map_err(io::Error::from)
            .and_then(|file| read_record(File::from(file), LARGEST_WHOLE_FILE + 1, bytes));
        read.map(drop).map_err(|error| Reason::from(&error))
    }

    /// Passes each line of a file to `take`, without its newline. An error of `take` ends the reading.
    pub(crate) fn read_lines<E: Into<Reason>>(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), Reason> {
        let mut whole = Vec::new();
        let mut file: Box<dyn BufRead + '_> = match self.open(path)? {
            OpenFile::File(file) if self.tap.is_none() => {
                Box::new(BufReader::with_capacity(64 << 10, file))
            }
            OpenFile::Archived(file) => Box::new(file),
            // A recording needs the whole file.
            OpenFile::File(file) => {
                let read = file.take(LARGEST_BY_LINES).read_to_end(&mut whole);
                read.map_err(|error| self.reason(path, &error))?;
                self.keep(path, &whole);
                Box::new(whole.as_slice())
            }
        };
        let mut lines = LineSplitter::default();
        loop {
            let bytes = match file.fill_buf() {
                Ok([]) => return lines.finish(),
                Ok(bytes) => bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.reason(path, &error)),
            };
            let size = bytes.len();
            let _ = lines.push(bytes, |line| match take(line) {
                Ok(()) => Ok(ControlFlow::Continue(())),
                Err(error) => Err(error.into()),
            })?;
            file.consume(size);
        }
    }

    /// The names in a folder, sorted. Names that are not UTF-8 are skipped.
    pub(crate) fn names(&self, path: &str) -> Result<Vec<String>, Reason> {
        let mut names = Vec::new();
        self.each_name(path, |name| names.push(name.to_owned()))?;
        names.sort_unstable();
        if keeps_names_of(path)
            && let Some(mut tap) = self.tap()
        {
            for name in &names {
                let path = format!("{path}/{name}");
                tap.tree.insert(path, RecordedEntry::Folder);
            }
        }
        Ok(names)
    }

    /// The numbers among the names in a folder of processes or threads, ascending.
    pub(crate) fn numbers(&self, path: &str) -> Result<Vec<u32>, Reason> {
        let mut numbers = Vec::new();
        self.each_name(path, |name| numbers.extend(number(name)))?;
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// [`Root::numbers`] of an open folder.
    pub(crate) fn numbers_in(&self, folder: &Folder) -> Result<Vec<u32>, Reason> {
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
        let listed = match &self.location {
            Location::Live => self
                .open_at(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC)
                .and_then(|folder| names_of(&folder, &mut take)),
            Location::Folder(root) => folder_names(root, path, &mut take),
            Location::Archive(tree) => match tree.names(path) {
                Some(names) => {
                    names.iter().for_each(|name| take(name));
                    Ok(())
                }
                None => Err(ErrorKind::NotFound.into()),
            },
        };
        listed.map_err(|error| self.reason(path, &error))
    }

    /// Opens a regular file.
    fn open(&self, path: &str) -> Result<OpenFile<'_>, Reason> {
        if self.denied.contains(path) {
            return Err(Reason::Denied);
        }
        if self.is_live()
            && let Some(reason) = self.unresponsive.reason(path)
        {
            return Err(reason);
        }
        let opened = match &self.location {
            Location::Live => self
                .open_at(path, OFlags::RDONLY | OFlags::CLOEXEC)
                .map(|file| OpenFile::File(File::from(file))),
            Location::Folder(root) => open_within(root, path).map(OpenFile::File),
            Location::Archive(tree) => match tree.file(path) {
                Some(bytes) => Ok(OpenFile::Archived(Cursor::new(bytes))),
                None => Err(ErrorKind::NotFound.into()),
            },
        };
        opened.map_err(|error| match self.reason(path, &error) {
            // A recording lacks the files that did not answer.
            Reason::Absent => self.unresponsive.reason(path).unwrap_or(Reason::Absent),
            reason => reason,
        })
    }

    /// Opens a file or folder of the running system, below the open folder of its process if that is held.
    fn open_at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let opened = rustix::io::retry_on_intr(|| match self.held.above(path) {
            Some((folder, below)) => rustix::fs::openat(&folder, below, flags, Mode::empty()),
            None => rustix::fs::openat(CWD, live_path(path), flags, Mode::empty()),
        });
        Ok(opened?)
    }

    /// Keeps the bytes of a file, if a recording is being made and the file was not given up meanwhile.
    pub(crate) fn keep(&self, path: &str, bytes: &[u8]) {
        if let Some(mut tap) = self.tap()
            && !self.unresponsive.has_file(path)
        {
            let part = self.part_kept.and_then(|part| part(Path::new(path), bytes));
            let kept = part.unwrap_or_else(|| bytes.to_vec());
            tap.tree.insert(path, RecordedEntry::File(kept));
        }
    }

    fn tap(&self) -> Option<MutexGuard<'_, Tap>> {
        let tap = self.tap.as_ref()?;
        Some(tap.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The reason for a gap. A recording keeps "permission denied", which its replay cannot find out.
    fn reason(&self, path: &str, error: &io::Error) -> Reason {
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

/// The name of a process's or thread's folder as a number. The kernel writes neither a sign nor leading zeros.
pub(crate) fn number(name: &str) -> Option<u32> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_digit());
    let number = name.parse().ok().filter(|_| is_plain)?;
    (number == 0 || !name.starts_with('0')).then_some(number)
}

/// Whether one read of this file returns all of it if the buffer is large enough: the kernel writes it as a single record
/// (proc_single_open in its fs/proc/base.c), or copies it from the process's memory up to the end (environ_read and
/// get_mm_cmdline there).
fn is_of_one_record(path: &str) -> bool {
    const NAMES: &[&str] = &["stat", "statm", "status", "cgroup", "cmdline", "environ"];
    let of_process = path
        .strip_prefix("proc/")
        .and_then(|rest| rest.split_once('/'));
    let name = of_process.and_then(|(_, rest)| rest.rsplit('/').next());
    name.is_some_and(|name| NAMES.contains(&name))
}

/// Reads a file of one record: a read that does not fill the buffer is the last. Other files are read to their end.
fn read_record(mut file: File, most: u64, bytes: &mut Vec<u8>) -> io::Result<usize> {
    let room = bytes.capacity();
    let mut read = || rustix::io::read(&file, rustix::buffer::spare_capacity(bytes));
    let size = rustix::io::retry_on_intr(&mut read)?;
    if size < room {
        return Ok(size);
    }
    file.by_ref().take(most - size as u64).read_to_end(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
