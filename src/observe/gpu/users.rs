//! Reads what decides which processes use NVIDIA's GPUs where NVML's lists do not.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::gpu_users::nvidia::{Candidate, add_users, listed, remove_foreign, unlisted};
use crate::machine::{Gap, Gpu};
use crate::observe::process::{Readers, Stat, environ, lock, open_files};
use crate::units::Pid;

/// Removes the contexts of PIDs from other PID namespaces and returns these PIDs: the processes that have no file of the
/// driver open, and those that a recording reports as `recorded`. NVML is right where open files cannot be read.
pub(crate) fn remove_foreign_pids(
    readers: &Readers,
    gpus: &mut [Gpu],
    stats: &BTreeMap<Pid, Stat>,
    recorded: &BTreeSet<Pid>,
    gaps: &mut Vec<Gap>,
) -> BTreeSet<Pid> {
    let mut foreign = listed(gpus);
    foreign.retain(|pid| {
        let files = || open_files::read_driver_files(readers.root(), *pid);
        let has_none_open = || files().is_ok_and(|files| files.total == 0);
        recorded.contains(pid) || (stats.contains_key(pid) && has_none_open())
    });
    gaps.extend(remove_foreign(gpus, &foreign));
    foreign
}

/// Finds the users of GPUs that may be in use although NVML lists no process.
pub(crate) fn find(readers: &Readers, gpus: &mut [Gpu], stats: &BTreeMap<Pid, Stat>) {
    let unlisted = unlisted(gpus, |pid| stats.contains_key(&pid));
    if unlisted.is_empty() {
        return;
    }
    let listed = listed(gpus);
    let others = stats.keys().filter(|pid| !listed.contains(pid));
    let files = readers.each(others.copied(), |root, pid, files| {
        *lock(files) = open_files::read_driver_files(root, pid).unwrap_or_default();
    });
    let candidates = files.into_iter().filter_map(|(pid, files)| {
        let stat = stats.get(&pid)?;
        let candidate = Candidate {
            name: &stat.name,
            parent: stat.ppid,
            files: files.found,
            environment: None,
        };
        Some((pid, candidate))
    });
    let mut candidates: BTreeMap<Pid, Candidate> = candidates.collect();
    let undecided = candidates
        .iter()
        .filter(|(_, candidate)| candidate.needs_environment(gpus));
    let undecided: Vec<Pid> = undecided.map(|(pid, _)| *pid).collect();
    let environments = readers.each(undecided, |root, pid, environment| {
        *lock(environment) = environ::read_environment(root, pid).ok();
    });
    for (pid, environment) in environments {
        if let Some(candidate) = candidates.get_mut(&pid) {
            candidate.environment = environment.found;
        }
    }
    add_users(gpus, &unlisted, &candidates);
}
