//! A whole recorded machine, of which some files are not as any kernel writes them.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::{MemfdFlags, memfd_create};

use super::show;
use crate::audit::{Settings, audit, map};
use crate::observe::root::{RecordedEntry, RecordedTree, Root};
use crate::observe::{Source, Subjects, observe};

/// A recording's archive: the bytes of its tar, in gzip that only stores them.
pub fn archive(tar: &[u8]) {
    let file = memfd_create("archive.tar.gz", MemfdFlags::CLOEXEC).expect("a file in memory");
    let mut gzip = GzEncoder::new(File::from(file), Compression::none());
    gzip.write_all(tar).expect("room for it");
    let file = gzip.finish().expect("room for it");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if let Ok(source) = Source::snapshot(&path) {
        let form = tar.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
        audit_and_print(source, form);
    }
}

/// A small recorded machine, changed as the input says: its first byte chooses audit or topology, the rest are
/// changes.
pub fn tree(bytes: &[u8]) {
    static MACHINE: LazyLock<Vec<(PathBuf, RecordedEntry)>> = LazyLock::new(small_machine);
    let mut input = Input(bytes);
    let Some(form) = input.byte() else { return };
    let mut tree = RecordedTree::default();
    for (path, entry) in &*MACHINE {
        tree.insert(path.clone(), entry.clone());
    }
    while let Some(change) = input.change() {
        apply(&change, &MACHINE, &mut tree);
    }
    if let Ok(source) = Source::recorded(Root::archive(tree), Path::new("fuzzed")) {
        audit_and_print(source, form);
    }
}

/// Audits a machine, or with an even number only its topology, and prints the document in every form.
fn audit_and_print(source: Source, form: u8) {
    let machine = observe(source, &Subjects::GpuUsers).machine;
    let settings = Settings::default();
    let document = if form.is_multiple_of(2) {
        map(machine, &settings)
    } else {
        audit(machine, &settings)
    };
    show(&document);
}

/// The recording that is changed.
const FIXTURE: &[u8] = include_bytes!("../../fixtures/p4d-do-not-match.tar.gz");

/// The launcher, a trainer and one of its workers: enough for every join, and fast.
const KEPT: [&str; 3] = ["245", "254", "265"];

/// How much of a `numa_maps` is kept.
const LINES: usize = 30;

/// Its files and links, sorted by path.
fn small_machine() -> Vec<(PathBuf, RecordedEntry)> {
    let mut bytes = Vec::new();
    GzDecoder::new(FIXTURE)
        .read_to_end(&mut bytes)
        .expect("the fixture is whole");
    let mut archive = tar::Archive::new(bytes.as_slice());
    let mut machine = Vec::new();
    for entry in archive.entries().expect("the fixture is an archive") {
        let mut entry = entry.expect("the fixture is whole");
        let path = entry.path().expect("a path").into_owned();
        let path: PathBuf = path.components().skip(1).collect();
        if !is_kept(&path.to_string_lossy()) {
            continue;
        }
        match entry.link_name().expect("a link's text") {
            Some(target) => machine.push((path, RecordedEntry::Link(target.into_owned()))),
            None if entry.header().entry_type().is_file() => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).expect("the fixture is whole");
                if path.ends_with("numa_maps") {
                    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
                    bytes = lines.take(LINES).flatten().copied().collect();
                }
                machine.push((path, RecordedEntry::File(bytes)));
            }
            None => {}
        }
    }
    machine.sort_by(|one, other| one.0.cmp(&other.0));
    machine
}

fn is_kept(path: &str) -> bool {
    // Two of the eight GPUs, on a node each, and no other device.
    let is_device = path.starts_with("sys/bus/pci/") || path.starts_with("sys/devices/pci");
    let is_of_gpu = ["0000:10:1c.0", "0000:a0:1d.0"]
        .iter()
        .any(|gpu| path.contains(gpu));
    if (is_device || path.starts_with("proc/driver/nvidia/gpus/")) && !is_of_gpu {
        return false;
    }
    let mut parts = path.split('/');
    let process = match (parts.next(), parts.next()) {
        (Some("proc"), Some(process)) if process.starts_with(|c: char| c.is_ascii_digit()) => {
            process
        }
        (Some("proc"), _) => return !path.ends_with("cpuinfo"),
        _ => return true,
    };
    let is_further_thread = match (parts.next(), parts.next()) {
        (Some("task"), Some(thread)) => thread
            .parse()
            .is_ok_and(|thread: u32| process.parse().is_ok_and(|pid: u32| thread > pid + 2)),
        _ => false,
    };
    KEPT.contains(&process) && !path.ends_with("smaps_rollup") && !is_further_thread
}

/// A change of one file. Which one is a number modulo the count of files; a place is modulo the file's length.
enum FileChange<'a> {
    /// Replaces all bytes.
    Replace(u16, &'a [u8]),
    /// Writes bytes over those at a place.
    Overwrite(u16, u16, &'a [u8]),
    /// Inserts bytes at a place.
    Insert(u16, u16, &'a [u8]),
    /// Cuts it at a length.
    Cut(u16, u16),
    /// Replaces a number in it: which one is modulo their count.
    Number(u16, u8, u64),
    /// Replaces it by another file's bytes.
    Copy(u16, u16),
    /// Removes it.
    Remove(u16),
    /// Replaces it by a link to another.
    Link(u16, u16),
    /// Replaces it by a link to any path.
    LinkAnywhere(u16, &'a str),
    /// Replaces it by a folder.
    Folder(u16),
    /// Adds a file with a new name beside it.
    Add(u16, &'a str, &'a [u8]),
}

/// The rest of the input.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn short(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn long(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    /// A length in one byte, and so many bytes, or what is left.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    fn change(&mut self) -> Option<FileChange<'a>> {
        Some(match self.byte()? % 11 {
            0 => FileChange::Replace(self.short()?, self.bytes()?),
            1 => FileChange::Overwrite(self.short()?, self.short()?, self.bytes()?),
            2 => FileChange::Insert(self.short()?, self.short()?, self.bytes()?),
            3 => FileChange::Cut(self.short()?, self.short()?),
            4 => FileChange::Number(self.short()?, self.byte()?, self.long()?),
            5 => FileChange::Copy(self.short()?, self.short()?),
            6 => FileChange::Remove(self.short()?),
            7 => FileChange::Link(self.short()?, self.short()?),
            8 => FileChange::LinkAnywhere(self.short()?, self.text()?),
            9 => FileChange::Folder(self.short()?),
            _ => FileChange::Add(self.short()?, self.text()?, self.bytes()?),
        })
    }
}

/// The place of the digits of a number, which one modulo their count.
fn number(bytes: &[u8], which: u8) -> Option<std::ops::Range<usize>> {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|at| is_digit(*at) && (*at == 0 || !is_digit(*at - 1)))
        .collect();
    let start = *starts.get(usize::from(which) % starts.len().max(1))?;
    let end = (start..).find(|at| !is_digit(*at))?;
    Some(start..end)
}

fn apply(change: &FileChange, machine: &[(PathBuf, RecordedEntry)], tree: &mut RecordedTree) {
    let path = |which: u16| machine[usize::from(which) % machine.len()].0.clone();
    let bytes = |which: u16| match tree.entries().get(&path(which)) {
        Some(RecordedEntry::File(bytes)) => bytes.clone(),
        _ => Vec::new(),
    };
    let (path, entry) = match *change {
        FileChange::Replace(which, new) => (path(which), RecordedEntry::File(new.to_owned())),
        FileChange::Overwrite(which, ..)
        | FileChange::Insert(which, ..)
        | FileChange::Cut(which, ..)
        | FileChange::Number(which, ..) => {
            let edited = edited(change, bytes(which));
            (path(which), RecordedEntry::File(edited))
        }
        FileChange::Copy(which, from) => (path(which), RecordedEntry::File(bytes(from))),
        FileChange::Remove(which) => {
            let gone = path(which);
            tree.retain(|path| path != gone);
            return;
        }
        FileChange::Link(which, to) => {
            let target = Path::new("/").join(path(to));
            (path(which), RecordedEntry::Link(target))
        }
        FileChange::LinkAnywhere(which, target) => {
            (path(which), RecordedEntry::Link(target.into()))
        }
        FileChange::Folder(which) => (path(which), RecordedEntry::Folder),
        // The reader of archives lets only plain names through.
        FileChange::Add(_, name, _)
            if ["", ".", ".."].contains(&name) || name.contains(['/', '\0']) =>
        {
            return;
        }
        FileChange::Add(which, name, new) => (
            path(which).with_file_name(name),
            RecordedEntry::File(new.to_owned()),
        ),
    };
    tree.insert(path, entry);
}

/// The bytes of a file after a change of a part of them.
fn edited(change: &FileChange, mut bytes: Vec<u8>) -> Vec<u8> {
    match *change {
        FileChange::Overwrite(_, at, new) => {
            let at = usize::from(at) % bytes.len().max(1);
            let end = bytes.len().min(at + new.len());
            bytes.splice(at..end, new.iter().copied());
        }
        FileChange::Insert(_, at, new) => {
            let at = usize::from(at) % (bytes.len() + 1);
            bytes.splice(at..at, new.iter().copied());
        }
        FileChange::Cut(_, length) => bytes.truncate(usize::from(length)),
        FileChange::Number(_, at, new) => {
            if let Some(digits) = number(&bytes, at) {
                bytes.splice(digits, new.to_string().into_bytes());
            }
        }
        _ => {}
    }
    bytes
}
