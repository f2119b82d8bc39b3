//! `/proc/PID/fd`: the files that a process has open.

use std::collections::BTreeSet;

use crate::jobs::gpu_users::nvidia::DriverFiles;
use crate::machine::Reason;
use crate::observe::process::{DriverFile, parse_driver_file, parse_pipe};
use crate::observe::root::Root;
use crate::units::Pid;

/// Calls `take` with each descriptor and its link's target. They are not collected: half a million descriptors may have a
/// target of 4 KiB each.
pub(crate) fn each_open_file(
    root: &Root,
    pid: Pid,
    mut take: impl FnMut(&str, &str),
) -> Result<(), Reason> {
    let folder = format!("proc/{pid}/fd");
    for fd in root.names(&folder)? {
        // A descriptor that was closed since the listing is skipped.
        if let Ok(target) = root.link(&format!("{folder}/{fd}")) {
            take(&fd, &target);
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
    let folder = format!("proc/{pid}/fd");
    let names = root.names(&folder)?.into_iter();
    let targets = names
        .filter(|name| !STANDARD.contains(&name.as_str()))
        .filter_map(|name| root.link(&format!("{folder}/{name}")).ok());
    Ok(targets.filter_map(|target| parse_pipe(&target)).collect())
}
