//! `/proc/PID/fd`: the files that a process has open.

use std::collections::BTreeSet;

use crate::jobs::gpu_users::nvidia::DriverFiles;
use crate::machine::Reason;
use crate::observe::process::{DriverFile, is_ended, parse_driver_file, parse_pipe};
use crate::observe::root::Root;
use crate::units::Pid;

/// Calls `take` with each descriptor and its link's target. They are not collected: half a million descriptors may have a
/// target of 4 KiB each.
///
/// # Errors
/// Where the folder or a link may not be read. Without CAP_SYS_PTRACE root may list the descriptors of every
/// process, and read no link: that a file is not open cannot be concluded from it.
pub(crate) fn each_open_file(
    root: &Root,
    pid: Pid,
    mut take: impl FnMut(&str, &str),
) -> Result<(), Reason> {
    let folder = format!("{}/fd", root.process_folder(pid));
    for fd in root.names(&folder)? {
        match root.link(&format!("{folder}/{fd}")) {
            Ok(target) => take(&fd, &target),
            // It was closed since the listing, or is not a link.
            Err(reason) if is_ended(&reason) => {}
            // The others would be refused too.
            Err(reason) => return Err(reason),
        }
    }
    Ok(())
}

/// Counts the device files of NVIDIA's driver that a process has open.
pub(crate) fn read_driver_files(root: &Root, pid: Pid) -> Result<DriverFiles, Reason> {
    let mut files = DriverFiles::default();
    each_open_file(root, pid, |_, target| match parse_driver_file(target) {
        None => {}
        Some(DriverFile::Other) => files.total += 1,
        Some(DriverFile::Gpu(minor)) => {
            files.total += 1;
            *files.by_minor.entry(minor).or_default() += 1;
        }
    })?;
    Ok(files)
}

/// The inodes of the pipes that a process has open. Standard input and output are left out: they belong to a shell's
/// pipeline.
pub(crate) fn read_pipes(root: &Root, pid: Pid) -> Result<BTreeSet<u64>, Reason> {
    const STANDARD: &[&str] = &["0", "1", "2"];
    let mut pipes = BTreeSet::new();
    each_open_file(root, pid, |fd, target| {
        if !STANDARD.contains(&fd) {
            pipes.extend(parse_pipe(target));
        }
    })?;
    Ok(pipes)
}
