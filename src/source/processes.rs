//! The processes that matter: which these are, and all that is to be known of them.

use std::collections::{BTreeMap, BTreeSet};

use super::cpuset::Cpusets;
use super::memory::MemoryReader;
use super::root::Root;
use super::selection::{Selection, select};
use super::{drm_users, procfs, users};
use crate::model::gap::{Fact, Gap, Reason};
use crate::model::gpu::Gpu;
use crate::model::process::{Pid, Process};
use crate::parse::stat::Stat;

/// Whom an observation is to look at, with what was learnt on the way.
pub struct Choice {
    /// `stat` of every process that is no thread of the kernel's.
    pub stats: BTreeMap<Pid, Stat>,
    /// Those that matter.
    pub selection: Selection,
    /// Those of them that are on a GPU.
    holders: BTreeSet<Pid>,
    /// Those that were asked for and cannot be looked at, with the reason.
    pub missing: BTreeMap<Pid, Reason>,
}

/// Finds out which processes matter. `strangers` are the PIDs that a recording says are not whom NVML means; those that
/// are found are added. `unseen` is what it says of why it is not known who uses some GPUs.
pub fn choose(
    root: &Root,
    gpus: &mut [Gpu],
    named: &[Pid],
    strangers: &mut BTreeSet<Pid>,
    unseen: &BTreeMap<u32, String>,
    gaps: &mut Vec<Gap>,
) -> Choice {
    let mut stats = BTreeMap::new();
    let mut unread = BTreeMap::new();
    match procfs::read_stats(root) {
        Ok(all) => {
            for (pid, stat) in all {
                match stat {
                    Ok(stat) => drop(stats.insert(pid, stat)),
                    Err(reason) => drop(unread.insert(pid, reason)),
                }
            }
        }
        Err(reason) => gaps.push(Gap {
            pid: None,
            fact: Fact::Processes,
            reason,
        }),
    }
    if root.is_live() {
        stats.remove(&Pid(std::process::id()));
    }
    users::disbelieve(root, gpus, &stats, strangers, gaps);
    users::find(root, gpus, &stats);
    drm_users::find(root, gpus, &stats, unseen, gaps);
    let contexts = gpus.iter().flat_map(|gpu| gpu.contexts.iter().flatten());
    let others = gpus.iter().flat_map(|gpu| gpu.users.keys()).copied();
    let holders: BTreeSet<Pid> = contexts.map(|context| context.pid).chain(others).collect();
    let wanted: BTreeSet<Pid> = match named {
        [] => holders.clone(),
        named => named.iter().copied().collect(),
    };
    let mut missing: BTreeMap<Pid, Reason> = BTreeMap::new();
    for pid in &wanted {
        match stats.get(pid) {
            None => drop(missing.insert(*pid, unread.remove(pid).unwrap_or(Reason::Absent))),
            Some(stat) if stat.is_of_kernel() => {
                let why = Reason::Failed("a thread of the kernel, which has no memory".into());
                missing.insert(*pid, why);
            }
            Some(_) => {}
        }
    }
    stats.retain(|_, stat| !stat.is_of_kernel());
    gaps.extend(hidden(unread));
    Choice {
        selection: select(root, &stats, &holders, named),
        stats,
        holders,
        missing,
    }
}

/// Reads the processes that matter, by PID, and tells which of them are orphans.
pub fn read_processes(
    root: &Root,
    choice: Choice,
    named: &[Pid],
    memory: &MemoryReader,
    gaps: &mut Vec<Gap>,
) -> (Vec<Process>, BTreeSet<Pid>) {
    let Choice {
        mut stats,
        selection,
        holders,
        mut missing,
    } = choice;
    let Selection { pids, mut orphans } = selection;
    let mut processes = Vec::new();
    let mut cpusets = Cpusets::default();
    for pid in pids {
        if let Some(stat) = stats.remove(&pid) {
            match procfs::read_process(root, pid, stat, &mut cpusets, memory, gaps) {
                Some(mut process) => {
                    if !orphans.is_empty() && (orphans.contains(&pid) || holders.contains(&pid)) {
                        process.pipes = pipes(root, pid, gaps);
                    }
                    processes.push(process);
                }
                // One that ended by itself is none that is missing, but for whom it was asked by number.
                None if named.contains(&pid) => drop(missing.insert(pid, Reason::Gone)),
                None => {}
            }
        }
    }
    gaps.extend(missing.into_iter().map(|(pid, reason)| Gap {
        pid: Some(pid),
        fact: Fact::Process,
        reason,
    }));
    orphans.retain(|pid| processes.iter().any(|process| process.pid == *pid));
    (processes, orphans)
}

/// What ties a worker to its trainer where no parent does.
fn pipes(root: &Root, pid: Pid, gaps: &mut Vec<Gap>) -> Option<BTreeSet<u64>> {
    let note = |reason| {
        gaps.push(Gap {
            pid: Some(pid),
            fact: Fact::OpenFiles,
            reason,
        });
    };
    procfs::read_pipes(root, pid).map_err(note).ok()
}

/// Processes that nobody asked for by number, of which some may belong to a job all the same. With hidepid there
/// may be thousands: these are counted.
fn hidden(unread: BTreeMap<Pid, Reason>) -> Vec<Gap> {
    let (denied, other): (Vec<_>, Vec<_>) = unread
        .into_iter()
        .partition(|(_, reason)| *reason == Reason::Denied);
    let denied = (!denied.is_empty()).then_some(Gap {
        pid: None,
        fact: Fact::HiddenProcesses(denied.len()),
        reason: Reason::Denied,
    });
    let other = other.into_iter().map(|(pid, reason)| Gap {
        pid: Some(pid),
        fact: Fact::Process,
        reason,
    });
    denied.into_iter().chain(other).collect()
}
