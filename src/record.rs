//! Writes the tree that [`crate::source`] reads: what one observation read, and nothing else.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

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
    // Who interrupts it shall not leave half a folder: it is written in milliseconds, and ends then.
    let interrupted = Arc::new(AtomicUsize::new(0));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        let number = usize::try_from(signal).unwrap_or_default();
        let held = signal_hook::flag::register_usize(signal, interrupted.clone(), number);
        held.map_err(|cause| RecordError::Unwritable {
            path: path.to_owned(),
            cause,
        })?;
    }
    let written = match archive_stem(path) {
        Some(stem) => write_archive(&tree, path, stem),
        None => write_folder(&tree, path),
    };
    let signal = i32::try_from(interrupted.load(Ordering::Relaxed)).unwrap_or_default();
    if signal != 0 {
        // The program ends as it would have, a little later.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
    }
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
    let driver = DriverAnswer {
        // It may have the library's path.
        error: match options.redact {
            true => driver
                .error
                .map(|_| "no answer; why is redacted".to_owned()),
            false => driver.error,
        },
        ..driver
    };
    kept.insert("snapshot.json", json(&manifest));
    kept.insert("nvml.json", json(&driver));
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
        Some("environ") if redact => allowed_variables(bytes, is_numbers),
        Some("environ") => allowed_variables(bytes, |_| true),
        Some("cmdline") if redact => redact_words(bytes),
        Some("cgroup") if redact => redact_groups(bytes),
        Some("numa_maps") if redact => by_line(bytes, redact_line),
        _ => bytes.clone(),
    };
    Entry::File(bytes)
}

/// The variables on the list whose values are allowed too.
fn allowed_variables(environ: &[u8], is_allowed: fn(&[u8]) -> bool) -> Vec<u8> {
    let is_kept = |variable: &&[u8]| {
        let mut parts = variable.splitn(2, |byte| *byte == b'=');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            return false;
        };
        VARIABLES.iter().any(|allowed| allowed.as_bytes() == name) && is_allowed(value)
    };
    let variables = environ.split(|byte| *byte == 0).filter(is_kept);
    variables
        .flat_map(|variable| [variable, b"\0"].concat())
        .collect()
}

/// A rank or a list of devices: it names nobody.
fn is_numbers(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| byte.is_ascii_digit() || *byte == b',')
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
fn archive_stem(path: &Path) -> Option<&OsStr> {
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

/// The folder in which PATH is to appear.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// What is not yet whole is named so, where it needs a name, and is removed if it never becomes so.
const UNFINISHED: &str = ".numa-audit-unfinished-";

const OWN_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Writes into a file without a name, which nothing can leave behind, and gives it its name when it is whole.
fn write_archive(tree: &Tree, path: &Path, stem: &OsStr) -> io::Result<()> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(parent(path), flags, OWN_FILE) {
        Ok(file) => {
            let file = File::from(file);
            pack(tree, stem, &file)?;
            let open = format!("/proc/self/fd/{}", file.as_raw_fd());
            Ok(rustix::fs::linkat(
                CWD,
                open,
                CWD,
                path,
                AtFlags::SYMLINK_FOLLOW,
            )?)
        }
        // Network file systems cannot.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
            let file = tempfile::Builder::new()
                .prefix(UNFINISHED)
                .tempfile_in(parent(path))
                .map_err(without_path)?;
            pack(tree, stem, file.as_file())?;
            file.persist_noclobber(path)?;
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// The error alone: `tempfile` adds the unfinished file's name, which nobody knows.
fn without_path(error: io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|error| error.source());
    match cause.and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => io::Error::new(error.kind(), cause.to_string()),
        None => error,
    }
}

fn pack(tree: &Tree, stem: &OsStr, file: &File) -> io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
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
    archive.into_inner()?.finish()?.sync_all()
}

fn write_folder(tree: &Tree, path: &Path) -> io::Result<()> {
    let own = Permissions::from_mode(0o700);
    let mut unfinished = tempfile::Builder::new();
    let folder = unfinished
        .prefix(UNFINISHED)
        .permissions(own)
        .tempdir_in(parent(path))
        .map_err(without_path)?;
    // From here on by the folder itself and not by its name, which others may change where they may rename.
    let root = rustix::fs::open(folder.path(), FOLDER, Mode::empty())?;
    for (name, entry) in tree.entries() {
        write_entry(&root, name, entry)?;
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

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Writes one entry below `root`, with the folders above it; follows no link on the way.
fn write_entry(root: &OwnedFd, path: &Path, entry: &Entry) -> io::Result<()> {
    let (Some(name), Some(above)) = (path.file_name(), path.parent()) else {
        return Ok(());
    };
    let mut folder = root.try_clone()?;
    for step in above.components() {
        folder = enter(&folder, step.as_os_str())?;
    }
    match entry {
        Entry::File(bytes) => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let file = rustix::fs::openat(&folder, name, flags, OWN_FILE)?;
            File::from(file).write_all(bytes)
        }
        Entry::Link(text) => Ok(rustix::fs::symlinkat(text.as_path(), &folder, name)?),
        Entry::Folder => enter(&folder, name).map(drop),
    }
}

/// Opens a folder, which is made where it is not there yet.
fn enter(folder: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(folder, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::openat(folder, name, FOLDER, Mode::empty())?)
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
        let kept = allowed_variables(
            b"RANKS=1\0RANK=3\0SECRET=x\0TORCHELASTIC_RUN_ID=ann\0garbage",
            |_| true,
        );
        assert_eq!(kept, b"RANK=3\0TORCHELASTIC_RUN_ID=ann\0");
        let redacted = allowed_variables(b"RANK=3\0TORCHELASTIC_RUN_ID=ann\0", is_numbers);
        assert_eq!(redacted, b"RANK=3\0");
    }
}
