//! Opens a recorded machine.

use std::path::{Path, PathBuf};

use crate::machine::{DriverAnswer, Reason};
use crate::observe::gpu::nvml::parse_nvml;
use crate::observe::root::{Manifest, Root, archive, open_named, parse_manifest};
use crate::observe::source::{NvmlSource, Source};
use crate::units::Pid;

/// Why a recording cannot be used, in one sentence with its path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// It cannot be opened, or its archive cannot be read.
    #[error("cannot read the snapshot {}: {cause}", path.display())]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// The error of the system or of the archive reader.
        cause: std::io::Error,
    },
    /// It exists and is not a recording.
    #[error("{} is not a snapshot: {why}", path.display())]
    NotOne {
        /// The path as given.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Source {
    /// A recorded machine: a folder, or a `.tar.gz` of one. Nothing is written anywhere.
    ///
    /// # Errors
    /// When it cannot be read, is not a recording, or has a format that this program does not know.
    pub(crate) fn snapshot(path: &Path) -> Result<Self, SnapshotError> {
        match open_snapshot(path) {
            Ok(root) => Self::recorded(root, path),
            Err(cause) => Err(SnapshotError::Unreadable {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    /// A recorded machine whose tree is already open, for example one that was never in a file. `path` is its name in errors.
    ///
    /// # Errors
    /// As [`Source::snapshot`].
    pub(crate) fn recorded(mut root: Root, path: &Path) -> Result<Self, SnapshotError> {
        let unreadable = |cause| SnapshotError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let denied = || std::io::Error::from_raw_os_error(EACCES);
        let not_one = |why: String| SnapshotError::NotOne {
            path: path.to_owned(),
            why,
        };
        let json = |name: &str, reason: Reason| not_one(format!("{name}: {reason}"));
        let manifest = match root.read("snapshot.json") {
            Ok(text) => {
                parse_manifest(&text).map_err(|error| json("snapshot.json", error.into()))?
            }
            // A tree of /proc and /sys without a manifest is accepted.
            Err(Reason::Absent) if has_kernel_files(&root) => Manifest::default(),
            Err(Reason::Absent) => {
                return Err(not_one(
                    "it has neither snapshot.json nor /sys nor /proc".into(),
                ));
            }
            Err(Reason::Denied) => return Err(unreadable(denied())),
            Err(reason) => return Err(json("snapshot.json", reason)),
        };
        let answer = match root.read("nvml.json") {
            Ok(text) => parse_nvml(&text).map_err(|error| json("nvml.json", error.into()))?,
            Err(Reason::Absent) => DriverAnswer {
                error: Some(
                    "the snapshot has no nvml.json: no NVIDIA driver answered when it was recorded"
                        .into(),
                ),
                ..DriverAnswer::default()
            },
            Err(Reason::Denied) => return Err(unreadable(denied())),
            Err(reason) => return Err(json("nvml.json", reason)),
        };
        root.deny(manifest.denied.iter().cloned());
        manifest
            .silent
            .iter()
            .for_each(|pid| root.give_up(Pid(*pid)));
        Ok(Self::new(root, NvmlSource::Recorded(answer), manifest))
    }
}

/// The number of "permission denied".
const EACCES: i32 = 13;

fn open_snapshot(path: &Path) -> std::io::Result<Root> {
    if std::fs::metadata(path)?.is_dir() {
        return Root::folder(path);
    }
    let file = open_named(path)?;
    if !file.metadata()?.is_file() || !archive::is_gzip(&file) {
        return Err(std::io::Error::other(
            "it is neither a folder nor a .tar.gz",
        ));
    }
    Ok(Root::archive(archive::read_archive(file)?))
}

fn has_kernel_files(root: &Root) -> bool {
    ["sys/devices/system", "proc"]
        .iter()
        .any(|folder| root.names(folder).is_ok_and(|names| !names.is_empty()))
}
