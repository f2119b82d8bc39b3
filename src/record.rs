//! Writes a recording: the files that one observation read, as a tree that [`crate::observe`] can read.

pub(crate) mod groups;
pub(crate) mod held_signals;
pub(crate) mod kept;
pub(crate) mod redact;
pub(crate) mod write;

pub(crate) use held_signals::HeldSignals;
pub(crate) use kept::{RecordedFiles, process_of, unlisted_gpus, unseen};
pub(crate) use redact::{by_line, keeps_open_file, part_kept, without_secrets};
pub(crate) use write::{archive_stem, parent, write_archive, write_folder};

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::machine::{DriverAnswer, Machine};
use crate::observe::Observation;
use crate::observe::root::{FORMAT, Manifest, RecordedEntry, RecordedTree, Tap};
use crate::units::Pid;
use serde::Serialize;

/// Options of a recording.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// A note for the manifest.
    pub(crate) note: Option<String>,
    /// Hides argv, user names, the host name, and the names of mapped files.
    pub(crate) redact: bool,
}

/// Why nothing was recorded, in one sentence with the path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// The path exists, and is never overwritten.
    #[error("{} already exists: a recording never overwrites a file", .0.display())]
    Exists(PathBuf),
    /// It cannot be written. No partial file remains.
    #[error("cannot record to {}: {cause}", path.display())]
    Unwritable {
        /// The path as given.
        path: PathBuf,
        /// The error of the system.
        cause: io::Error,
    },
}

/// Checks before the observation that a recording can be written to this path.
///
/// # Errors
/// As [`record`].
pub(crate) fn ensure_new(path: &Path) -> Result<(), RecordError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(RecordError::Exists(path.to_owned()));
    }
    let is_other_archive = path.extension().is_some_and(|ending| {
        ["bz2", "gz", "tar", "xz", "zip", "zst"]
            .iter()
            .any(|other| ending.eq_ignore_ascii_case(other))
    });
    if is_other_archive && archive_stem(path).is_none() {
        return Err(RecordError::Unwritable {
            path: path.to_owned(),
            cause: io::Error::other("a recording is a folder or a .tar.gz"),
        });
    }
    // Checked here, so that the error is the system's own and not that of a temporary file.
    fs::read_dir(parent(path))
        .map(drop)
        .map_err(|cause| RecordError::Unwritable {
            path: path.to_owned(),
            cause,
        })
}

/// Writes an observation: an archive if the name ends in `.tar.gz`, else a folder. It appears as a whole or not at all.
///
/// # Errors
/// When the path exists, or cannot be written.
pub(crate) fn record(
    observation: Observation,
    path: &Path,
    options: &Options,
) -> Result<(), RecordError> {
    let tree = tree_of(observation, options);
    // A signal must not leave half a folder: it takes effect when that is removed, or when the recording is complete.
    let signals = HeldSignals::hold();
    let is_ended = || signals.has_come();
    let written = match archive_stem(path) {
        Some(stem) => write_archive(&tree, path, stem, &is_ended),
        None => write_folder(&tree, path, &is_ended),
    };
    let written = signals.obey().and(written);
    written.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => RecordError::Exists(path.to_owned()),
        _ => RecordError::Unwritable {
            path: path.to_owned(),
            cause,
        },
    })
}

/// The files of a recording.
fn tree_of(observation: Observation, options: &Options) -> RecordedTree {
    let Observation {
        machine,
        driver,
        strangers,
        mut tap,
        is_late: _,
    } = observation;
    let files = RecordedFiles::of(&machine);
    let mut kept = kept_files(std::mem::take(&mut tap.tree), &files, options.redact);
    let manifest = manifest(machine, strangers, tap, &files, options);
    kept.insert("snapshot.json", json(&manifest));
    kept.insert("nvml.json", json(&kept_answer(driver, options.redact)));
    kept
}

fn kept_files(tree: RecordedTree, files: &RecordedFiles, redact: bool) -> RecordedTree {
    let mut kept = RecordedTree::default();
    let is_kept =
        |(path, entry): &(PathBuf, RecordedEntry)| files.has(path) && keeps_open_file(path, entry);
    for (path, entry) in tree.into_entries().filter(is_kept) {
        let entry = without_secrets(&path, entry, redact);
        kept.insert(path, entry);
    }
    if redact {
        groups::without_names(&kept)
    } else {
        kept
    }
}

fn manifest(
    machine: Machine,
    strangers: BTreeSet<Pid>,
    tap: Tap,
    files: &RecordedFiles,
    options: &Options,
) -> Manifest {
    let unseen = unseen(&machine);
    let unlisted_gpus = unlisted_gpus(&machine);
    let processes = &machine.processes;
    let uids: BTreeSet<u32> = processes.iter().filter_map(|of| of.uid).collect();
    let pids: BTreeSet<Pid> = processes.iter().map(|of| of.pid).collect();
    let users = machine.users.into_iter();
    let users = users.filter(|(uid, _)| uids.contains(uid) && !options.redact);
    let pods = machine.pods.into_iter().filter(|_| !options.redact);
    let is_named = |path: &str| options.redact && path.starts_with(groups::TOP);
    let denied = tap.denied.into_iter();
    let denied = denied.filter(|path| files.has(Path::new(path)) && !is_named(path));
    Manifest {
        format: FORMAT,
        recorded_at: machine.host.recorded_at,
        hostname: machine.host.hostname.filter(|_| !options.redact),
        note: options.note.clone(),
        users: users.collect(),
        pods: pods.collect(),
        named: machine.named.iter().map(|pid| pid.0).collect(),
        strangers: strangers.iter().map(|pid| pid.0).collect(),
        unseen,
        unlisted_gpus,
        denied: denied.collect(),
        silent: tap.silent.intersection(&pids).map(|pid| pid.0).collect(),
    }
}

/// The text of NVML's error may have the path of the library.
fn kept_answer(driver: DriverAnswer, redact: bool) -> DriverAnswer {
    let kept = |error| {
        if redact {
            "no answer; the reason is redacted".to_owned()
        } else {
            error
        }
    };
    DriverAnswer {
        error: driver.error.map(kept),
        ..driver
    }
}

fn json<T: Serialize>(value: &T) -> RecordedEntry {
    // Plain structures of text and numbers cannot fail.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    RecordedEntry::File(bytes)
}
