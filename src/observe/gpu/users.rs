//! Reads what decides which processes use NVIDIA's GPUs where NVML's lists do not.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::gpu_users::nvidia::{
    Candidate, DriverFiles, add_users, listed, remove_foreign, unlisted, with_unlisted_gpus,
};
use crate::machine::{Fact, Gap, Gpu, Reason};
use crate::observe::gpu::nvidia;
use crate::observe::process::{Readers, Stat, environ, is_ended, lock, open_files};
use crate::observe::root::Manifest;
use crate::units::{Pid, ranges};

/// Sets the contexts of PIDs from other PID namespaces apart and returns these PIDs: the processes that have no file of the
/// driver open, and those that a recording reports as `recorded`. NVML is right where open files cannot be read.
pub(crate) fn remove_foreign_pids(
    readers: &Readers,
    gpus: &mut [Gpu],
    stats: &BTreeMap<Pid, Stat>,
    recorded: &BTreeSet<Pid>,
    gaps: &mut Vec<Gap>,
) -> BTreeSet<Pid> {
    let listed = listed(gpus);
    let mut foreign: BTreeSet<Pid> = &listed & recorded;
    let visible = listed.iter().copied();
    let visible = visible.filter(|pid| stats.contains_key(pid) && !recorded.contains(pid));
    let read = readers.each_in_share(visible, |root, pid, until, slot| {
        *lock(slot) = Some(open_files::has_driver_file(root, pid, until));
    });
    for (pid, read) in read {
        match read.found {
            Some(Ok(true)) => {}
            Some(Ok(false)) => drop(foreign.insert(pid)),
            Some(Err(reason)) if is_ended(&reason) || reason == Reason::Denied => {}
            found => gaps.push(Gap {
                pid: Some(pid),
                fact: Fact::OpenFiles,
                reason: found
                    .and_then(Result::err)
                    .or(read.cut)
                    .unwrap_or(Reason::Gone),
            }),
        }
    }
    gaps.extend(remove_foreign(gpus, &foreign));
    foreign
}

/// Finds the users of GPUs that may be in use although NVML lists no process, and processes with GPUs that nothing lists.
pub(crate) fn find(
    readers: &Readers,
    gpus: &mut [Gpu],
    stats: &BTreeMap<Pid, Stat>,
    recorded: &Manifest,
    gaps: &mut Vec<Gap>,
) {
    let unlisted = unlisted(gpus, |pid| stats.contains_key(&pid));
    let is_recorded = !recorded.unlisted_gpus.is_empty();
    if unlisted.is_empty() && is_whole(readers, gpus) && !is_recorded {
        return;
    }
    let read = readers.each_in_share(stats.keys().copied(), |root, pid, until, files| {
        *lock(files) = Some(open_files::read_driver_files(root, pid, until));
    });
    let listed = listed(gpus);
    let (mut files, mut has_refused) = (BTreeMap::new(), false);
    for (pid, read) in read {
        match read.found {
            Some(Ok(found)) => drop(files.insert(pid, found)),
            // It ended; or it was recorded, and a recording keeps no other open files.
            Some(Err(reason)) if is_ended(&reason) => {}
            // Files that cannot be read may be those of a GPU. Threads of the kernel have none.
            _ => has_refused |= !listed.contains(&pid) && !is_of_kernel(stats, pid),
        }
    }
    note_unlisted_gpus(gpus, &files, &recorded.unlisted_gpus, gaps);
    add_users_by_files(readers, gpus, stats, files, &unlisted);
    note_refused(gpus, &unlisted, has_refused, &recorded.unseen, gaps);
}

fn is_of_kernel(stats: &BTreeMap<Pid, Stat>, pid: Pid) -> bool {
    stats.get(&pid).is_some_and(Stat::is_of_kernel)
}

/// Whether NVML lists exactly the GPUs of the driver's kernel module. A container may be given some of them, and may see no
/// list of the kernel module.
fn is_whole(readers: &Readers, gpus: &[Gpu]) -> bool {
    let module = nvidia::addresses(readers.root());
    let nvidia = gpus.iter().filter(|gpu| gpu.drm.is_none());
    let known: BTreeSet<_> = nvidia.map(|gpu| gpu.address).collect();
    known == module.into_iter().map(Some).collect()
}

fn note_unlisted_gpus(
    gpus: &[Gpu],
    files: &BTreeMap<Pid, DriverFiles>,
    recorded: &BTreeMap<u32, String>,
    gaps: &mut Vec<Gap>,
) {
    /// A process may have files of any name open.
    const MOST: usize = 16;
    let files = files.iter().map(|(pid, files)| (*pid, files));
    let found = with_unlisted_gpus(gpus, files).into_iter();
    let found = found.map(|(pid, minors)| {
        let minors = ranges(minors.into_iter().take(MOST));
        let reason = format!(
            "the NVIDIA driver lists no GPU of minor number {minors} (/dev/nvidiaN), which is open"
        );
        (pid, reason)
    });
    let recorded = recorded.iter();
    let mut reasons: BTreeMap<Pid, String> = recorded
        .map(|(pid, reason)| (Pid(*pid), reason.clone()))
        .collect();
    reasons.extend(found);
    gaps.extend(reasons.into_iter().map(|(pid, reason)| Gap {
        pid: Some(pid),
        fact: Fact::UnlistedGpu,
        reason: Reason::Failed(reason),
    }));
}

fn add_users_by_files(
    readers: &Readers,
    gpus: &mut [Gpu],
    stats: &BTreeMap<Pid, Stat>,
    mut files: BTreeMap<Pid, DriverFiles>,
    unlisted: &BTreeSet<usize>,
) {
    let listed = listed(gpus);
    files.retain(|pid, _| !listed.contains(pid));
    let candidates = files.into_iter().filter_map(|(pid, files)| {
        let stat = stats.get(&pid)?;
        let candidate = Candidate {
            name: &stat.name,
            parent: stat.ppid,
            files,
            environment: None,
        };
        Some((pid, candidate))
    });
    let mut candidates: BTreeMap<Pid, Candidate> = candidates.collect();
    let undecided = candidates
        .iter()
        .filter(|(_, candidate)| candidate.needs_environment(gpus));
    let undecided: Vec<Pid> = undecided.map(|(pid, _)| *pid).collect();
    let environments = readers.each_in_share(undecided, |root, pid, _, environment| {
        *lock(environment) = environ::read_environment(root, pid).ok();
    });
    for (pid, environment) in environments {
        if let Some(candidate) = candidates.get_mut(&pid) {
            candidate.environment = environment.found;
        }
    }
    add_users(gpus, unlisted, &candidates);
}

/// Open files that may not be read leave open which other processes use a GPU. Where none was found there is another gap.
fn note_refused(
    gpus: &[Gpu],
    unlisted: &BTreeSet<usize>,
    has_refused: bool,
    recorded: &BTreeMap<u32, String>,
    gaps: &mut Vec<Gap>,
) {
    const REFUSED: &str =
        "the NVIDIA driver lists none, and the open files of some processes may not be read";
    let unlisted = unlisted.iter().filter_map(|at| gpus.get(*at));
    let found = unlisted.filter(|gpu| gpu.contexts.is_some() && !gpu.users.is_empty());
    gaps.extend(found.filter_map(|gpu| {
        let refused = || has_refused.then(|| REFUSED.to_owned());
        let reason = recorded.get(&gpu.index).cloned().or_else(refused)?;
        Some(Gap {
            pid: None,
            fact: Fact::GpuProcesses(gpu.index),
            reason: Reason::Failed(reason),
        })
    }));
}
