//! `/proc/PID/fd`: the files that a process has open.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::jobs::gpu_users::nvidia::DriverFiles;
use crate::machine::Reason;
use crate::observe::deadline::Deadline;
use crate::observe::process::{DriverFile, parse_driver_file, parse_pipe};
use crate::observe::root::Root;
use crate::units::Pid;

/// Of one process no more open files are looked at than these. A trainer has some hundreds, with thousands of shards open
/// some thousands. Another user may have half a million in each of many processes.
const MOST_OPEN_FILES: usize = 1 << 16;

/// The files between two looks at the clock.
const ROUND: usize = 64;

/// Calls `take` with each descriptor and its link's target, until it breaks. A recording has those for which it gives `true`.
///
/// # Errors
/// Where the folder or a link may not be read. Without CAP_SYS_PTRACE root may list the descriptors of every
/// process, and read no link: that a file is not open cannot be concluded from it. And where there are too many to be read,
/// or where the time is over: what comes behind them is unknown.
pub(crate) fn each_open_file(
    root: &Root,
    pid: Pid,
    until: Deadline,
    mut take: impl FnMut(&str, &str) -> ControlFlow<(), bool>,
) -> Result<(), Reason> {
    let folder = format!("{}/fd", root.process_folder(pid));
    let (mut count, mut cut) = (0, None);
    root.each_link(&folder, |fd, target| {
        count += 1;
        if count > MOST_OPEN_FILES {
            let why = format!("more than {MOST_OPEN_FILES}: the others were not looked at");
            cut = Some(Reason::Failed(why));
        } else if count % ROUND == 0 && until.is_over() {
            cut = Some(Reason::Late(until.allowed));
        }
        match cut {
            Some(_) => ControlFlow::Break(()),
            None => take(fd, target),
        }
    })?;
    cut.map_or(Ok(()), Err)
}

/// Counts the device files of NVIDIA's driver that a process has open.
pub(crate) fn read_driver_files(
    root: &Root,
    pid: Pid,
    until: Deadline,
) -> Result<DriverFiles, Reason> {
    let mut files = DriverFiles::default();
    each_open_file(root, pid, until, |_, target| {
        let file = parse_driver_file(target);
        files.total += usize::from(file.is_some());
        if let Some(DriverFile::Gpu(minor)) = file {
            *files.by_minor.entry(minor).or_default() += 1;
        }
        ControlFlow::Continue(file.is_some())
    })?;
    Ok(files)
}

/// Whether a process has a file of NVIDIA's driver open: the first one decides.
pub(crate) fn has_driver_file(root: &Root, pid: Pid, until: Deadline) -> Result<bool, Reason> {
    let mut has_one = false;
    let read = each_open_file(root, pid, until, |_, target| {
        let is_one = parse_driver_file(target).is_some();
        has_one |= is_one;
        // A recording has all of them.
        match is_one && !root.is_tapped() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(is_one),
        }
    });
    if has_one {
        Ok(true)
    } else {
        read.map(|()| false)
    }
}

/// The inodes of the pipes that a process has open. Standard input and output are left out: they belong to a shell's
/// pipeline.
pub(crate) fn read_pipes(root: &Root, pid: Pid, until: Deadline) -> Result<BTreeSet<u64>, Reason> {
    const STANDARD: &[&str] = &["0", "1", "2"];
    let mut pipes = BTreeSet::new();
    each_open_file(root, pid, until, |fd, target| {
        let pipe = parse_pipe(target);
        if !STANDARD.contains(&fd) {
            pipes.extend(pipe);
        }
        ControlFlow::Continue(pipe.is_some())
    })?;
    Ok(pipes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observe::root::{RecordedEntry, RecordedTree};

    /// A process with this many files, of which the last is the driver's.
    fn root(count: usize) -> Root {
        let mut tree = RecordedTree::default();
        for fd in 0..count - 1 {
            let path = format!("proc/7/fd/{fd}");
            tree.insert(path, RecordedEntry::Link("/data/shard".into()));
        }
        // Names are sorted: this is the last one.
        let last = RecordedEntry::Link("/dev/nvidia0".into());
        tree.insert("proc/7/fd/99999999", last);
        Root::archive(tree)
    }

    #[test]
    fn what_lies_behind_too_many_files_is_unknown() {
        let long = Deadline::within(Duration::from_secs(3600));
        let of = |count| has_driver_file(&root(count), Pid(7), long);
        assert_eq!(of(MOST_OPEN_FILES), Ok(true));
        let cut = of(MOST_OPEN_FILES + 1).unwrap_err();
        assert_eq!(
            cut.to_string(),
            "more than 65536: the others were not looked at"
        );
        assert!(read_driver_files(&root(MOST_OPEN_FILES + 1), Pid(7), long).is_err());
    }

    #[test]
    fn what_was_not_read_in_time_is_unknown() {
        let over = Deadline::within(Duration::ZERO);
        let late = Err(Reason::Late(Duration::ZERO));
        assert_eq!(has_driver_file(&root(10 * ROUND), Pid(7), over), late);
        // One file decides, whatever lies behind it.
        let mut tree = RecordedTree::default();
        for fd in 0..10 * ROUND {
            let path = format!("proc/7/fd/{fd}");
            tree.insert(path, RecordedEntry::Link("/dev/nvidiactl".into()));
        }
        assert_eq!(
            has_driver_file(&Root::archive(tree), Pid(7), over),
            Ok(true)
        );
    }
}
