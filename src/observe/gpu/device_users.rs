//! Reads which processes have a file open of an accelerator that is no GPU, or of a device that was given away.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use crate::machine::{DeviceUser, PciDevice};
use crate::observe::process::{Readers, Stat, is_accelerator_file, lock, open_files};
use crate::units::Pid;

/// Of one process no more files are named than these.
const MOST_FILES: usize = 16;

/// No more processes are named than these.
const MOST_USERS: usize = 64;

/// The users, by PID. No open files are read on a machine without such a device.
pub(crate) fn find(
    readers: &Readers,
    devices: &[PciDevice],
    stats: &BTreeMap<Pid, Stat>,
) -> Vec<DeviceUser> {
    if !devices.iter().any(|device| device.may_compute) {
        return Vec::new();
    }
    let files = readers.each_in_share(stats.keys().copied(), |root, pid, until, files| {
        let mut found = BTreeSet::new();
        // A process whose files may not be read is not named: that any process may use the device is said anyway.
        let _ = open_files::each_open_file(root, pid, until, |_, target| {
            let is_named = is_accelerator_file(target) && found.len() < MOST_FILES;
            let is_new = is_named && found.insert(target.to_owned());
            ControlFlow::Continue(is_new)
        });
        *lock(files) = found;
    });
    let users = files
        .into_iter()
        .filter(|(_, files)| !files.found.is_empty());
    let users = users.map(|(pid, files)| DeviceUser {
        pid,
        name: stats
            .get(&pid)
            .map(|stat| stat.name.clone())
            .unwrap_or_default(),
        files: files.found.into_iter().collect(),
    });
    users.take(MOST_USERS).collect()
}
