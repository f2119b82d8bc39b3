//! Writes the tree that [`crate::source`] reads: what one observation read, and nothing else.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::model::driver::DriverAnswer;
use crate::model::process::Pid;
use crate::model::tenant;
use crate::parse::numa_maps::redact_line;
use crate::parse::snapshot::{FORMAT, Manifest};
use crate::source::{Entry, Observation, Tap, Tree};

/// What to write besides what was read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A remark to keep with it.
    pub note: Option<String>,
    /// Leave out argv, the users' and the host's names, and the names of mapped files.
    pub redact: bool,
}

/// Why nothing was recorded: one sentence with the path.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is something of that name, and it is never overwritten.
    #[error("{} exists already: a recording never overwrites anything", .0.display())]
    Exists(PathBuf),
    /// It cannot be written. Nothing is left behind.
    #[error("cannot record to {}: {cause}", path.display())]
    Unwritable {
        /// The path as it was given.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
}

/// Refuses a path that is there already or cannot become a recording, before anything is read for it.
///
/// # Errors
/// As [`record`].
pub fn ensure_new(path: &Path) -> Result<(), RecordError> {
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
    // Told here, as the system says it, and not when an unfinished file cannot be made there.
    fs::read_dir(parent(path))
        .map(drop)
        .map_err(|cause| RecordError::Unwritable {
            path: path.to_owned(),
            cause,
        })
}

/// Writes what was observed: an archive where the name ends in `.tar.gz`, else a folder. It appears whole
/// or not at all.
///
/// # Errors
/// When something of that name is there, or it cannot be written.
pub fn record(observation: Observation, path: &Path, options: &Options) -> Result<(), RecordError> {
    let tree = tree_of(observation, options);
    let written = match archive_stem(path) {
        Some(stem) => write_archive(&tree, path, &stem),
        None => write_folder(&tree, path),
    };
    written.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => RecordError::Exists(path.to_owned()),
        _ => RecordError::Unwritable {
            path: path.to_owned(),
            cause,
        },
    })
}

/// The files of a recording.
fn tree_of(observation: Observation, options: &Options) -> Tree {
    let Observation {
        machine,
        driver,
        tap: Tap { tree, denied },
    } = observation;
    let pids: BTreeSet<Pid> = machine
        .processes
        .iter()
        .map(|process| process.pid)
        .collect();
    let is_kept = |path: &Path| process_of(path).is_none_or(|pid| pids.contains(&pid));
    let uids: BTreeSet<u32> = machine
        .processes
        .iter()
        .filter_map(|process| process.uid)
        .collect();
    let users = machine
        .users
        .into_iter()
        .filter(|(uid, _)| uids.contains(uid) && !options.redact);
    let denied = denied.into_iter().filter(|path| is_kept(Path::new(path)));
    let manifest = Manifest {
        format: FORMAT,
        recorded_at: machine.host.recorded_at,
        hostname: machine.host.hostname.filter(|_| !options.redact),
        note: options.note.clone(),
        users: users.collect(),
        named: machine.named.iter().map(|pid| pid.0).collect(),
        denied: denied.collect(),
    };
    let mut kept = Tree::default();
    for (path, entry) in tree.entries().iter().filter(|(path, _)| is_kept(path)) {
        kept.insert(path, without_secrets(path, entry, options.redact));
    }
    kept.insert("snapshot.json", json(&manifest));
    kept.insert("nvml.json", json::<DriverAnswer>(&driver));
    kept
}

/// The process whose file this is: `proc/12/…`.
fn process_of(path: &Path) -> Option<Pid> {
    let mut names = path.components().map(Component::as_os_str);
    let pid = names
        .next()
        .filter(|first| *first == "proc")
        .and(names.next())?;
    pid.to_str()?.parse().ok().map(Pid)
}

fn json<T: Serialize>(value: &T) -> Entry {
    // Plain structures of text and numbers: nothing in them can fail.
    let mut bytes = serde_json::to_vec_pretty(value).unwrap_or_default();
    bytes.push(b'\n');
    Entry::File(bytes)
}

/// The variables that tell of ranks, GPUs and the scheduler. All others may hold secrets.
const VARIABLES: &[&str] = &[
    "CUDA_DEVICE_ORDER",
    "CUDA_MPS_PIPE_DIRECTORY",
    "CUDA_VISIBLE_DEVICES",
    "GROUP_RANK",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "MASTER_PORT",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_RANK",
    "RANK",
    "SLURM_JOB_ID",
    "SLURM_LOCALID",
    "SLURM_PROCID",
    "TORCHELASTIC_RUN_ID",
    "WORLD_SIZE",
];

fn without_secrets(path: &Path, entry: &Entry, redact: bool) -> Entry {
    let Entry::File(bytes) = entry else {
        return entry.clone();
    };
    if process_of(path).is_none() {
        return entry.clone();
    }
    let bytes = match path.file_name().and_then(|name| name.to_str()) {
        Some("environ") => allowed_variables(bytes),
        Some("cmdline") if redact => redact_words(bytes),
        Some("cgroup") if redact => redact_groups(bytes),
        Some("numa_maps") if redact => by_line(bytes, redact_line),
        _ => bytes.clone(),
    };
    Entry::File(bytes)
}

fn allowed_variables(environ: &[u8]) -> Vec<u8> {
    let is_allowed = |variable: &&[u8]| {
        let name = variable.split(|byte| *byte == b'=').next();
        VARIABLES
            .iter()
            .any(|allowed| Some(allowed.as_bytes()) == name)
    };
    let variables = environ.split(|byte| *byte == 0).filter(is_allowed);
    variables
        .flat_map(|variable| [variable, b"\0"].concat())
        .collect()
}

/// argv with nothing left but what tells a multiprocessing helper, and one fork server from another.
fn redact_words(cmdline: &[u8]) -> Vec<u8> {
    const KEPT: &[&[u8]] = &[
        b"from multiprocessing.forkserver import main; main(",
        b"from multiprocessing.forkserver import main",
        b"from multiprocessing.resource_tracker import main",
    ];
    let words = cmdline.split_inclusive(|byte| *byte == 0);
    let redacted = words.flat_map(|word| {
        let kept = KEPT.iter().find(|kept| word.starts_with(kept));
        let numbers = kept.map(|kept| {
            let rest = word[kept.len()..].iter();
            let length = rest
                .take_while(|byte| b"0123456789, ".contains(byte))
                .count();
            &word[..kept.len() + length]
        });
        [numbers.unwrap_or(b"redacted"), b"\0"].concat()
    });
    redacted.collect()
}

/// Control groups with nothing left but a container's or a Slurm job's number.
fn redact_groups(cgroup: &[u8]) -> Vec<u8> {
    by_line(cgroup, |line| {
        let text = String::from_utf8_lossy(line);
        let mut fields = text.splitn(3, ':');
        let (number, controllers) = (fields.next(), fields.next());
        let (Some(number), Some(controllers), Some(path)) = (number, controllers, fields.next())
        else {
            return Vec::new();
        };
        let path = [path.to_owned()];
        let container = tenant::container(&path).map(|id| format!("/{id}"));
        let job = tenant::slurm_job(&path).map(|job| format!("/slurm/job_{job}"));
        let kept = [job, container].into_iter().flatten().collect::<String>();
        let path = if kept.is_empty() { "/" } else { &kept };
        format!("{number}:{controllers}:{path}").into_bytes()
    })
}

fn by_line(bytes: &[u8], change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let changed = lines.flat_map(|line| match line.strip_suffix(b"\n") {
        Some(line) => [change(line), b"\n".to_vec()].concat(),
        None => change(line),
    });
    changed.collect()
}

/// `x` of `x.tar.gz`.
fn archive_stem(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".tar.gz").or(name.strip_suffix(".tgz"))?;
    Some(if stem.is_empty() { "snapshot" } else { stem }.to_owned())
}

/// The folder in which PATH is to appear. What is not yet whole has another name there, and is removed
/// if it never becomes so.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

const UNFINISHED: &str = ".numa-audit-unfinished-";

fn write_archive(tree: &Tree, path: &Path, stem: &str) -> io::Result<()> {
    let file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(parent(path))?;
    let mut archive = tar::Builder::new(GzEncoder::new(&file, Compression::default()));
    for (name, entry) in tree.entries() {
        let name = Path::new(stem).join(name);
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o600);
        match entry {
            Entry::File(bytes) => {
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, name, bytes.as_slice())?;
            }
            Entry::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, name, target)?;
            }
            Entry::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o700);
                header.set_size(0);
                archive.append_data(&mut header, name, io::empty())?;
            }
        }
    }
    archive.into_inner()?.finish()?.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

fn write_folder(tree: &Tree, path: &Path) -> io::Result<()> {
    let folder = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(parent(path))?;
    let mut make_folder = DirBuilder::new();
    make_folder.recursive(true).mode(0o700);
    for (name, entry) in tree.entries() {
        let target = folder.path().join(name);
        let above = target.parent().unwrap_or(folder.path());
        make_folder.create(above)?;
        match entry {
            Entry::File(bytes) => {
                let mut new = OpenOptions::new();
                new.write(true).create_new(true).mode(0o600);
                new.open(&target)?.write_all(bytes)?;
            }
            Entry::Link(text) => std::os::unix::fs::symlink(text, &target)?,
            Entry::Folder => make_folder.create(&target)?,
        }
    }
    match rustix::fs::renameat_with(CWD, folder.path(), CWD, path, RenameFlags::NOREPLACE) {
        // Network file systems cannot: an empty folder of that name is made, which a folder may replace.
        Err(Errno::INVAL | Errno::NOSYS) => {
            DirBuilder::new().mode(0o700).create(path)?;
            fs::rename(folder.path(), path)?;
        }
        renamed => renamed?,
    }
    // It has its name, and is no longer to be removed.
    let _ = folder.keep();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacting_leaves_what_tells_a_helper() {
        let redacted = |cmdline: &[u8]| String::from_utf8(redact_words(cmdline)).unwrap();
        assert_eq!(
            redacted(b"python\0train.py\0--key=x\0"),
            "redacted\0redacted\0redacted\0"
        );
        let forkserver =
            b"python\0-c\0from multiprocessing.forkserver import main; main(5, 7, ['__main__'])\0";
        assert_eq!(
            redacted(forkserver),
            "redacted\0redacted\0from multiprocessing.forkserver import main; main(5, 7, \0"
        );
    }

    #[test]
    fn redacting_leaves_the_container_and_the_job() {
        let id = "0123456789abcdef".repeat(4);
        let group = format!(
            "0::/user.slice/ann/docker-{id}.scope\n1:cpuset:/slurm/uid_1/job_7/step_0\n2:x:/ann\n"
        );
        let redacted = String::from_utf8(redact_groups(group.as_bytes())).unwrap();
        assert_eq!(
            redacted,
            format!("0::/{id}\n1:cpuset:/slurm/job_7\n2:x:/\n")
        );
    }

    #[test]
    fn environments_keep_what_is_on_the_list() {
        let kept =
            allowed_variables(b"RANKS=1\0RANK=3\0SECRET=x\0CUDA_VISIBLE_DEVICES=0,1\0garbage");
        assert_eq!(kept, b"RANK=3\0CUDA_VISIBLE_DEVICES=0,1\0");
    }
}
