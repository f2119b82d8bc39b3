//! The processes that matter: which these are, and all that is to be known of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::Gpu;
use crate::machine::process::Process;
use crate::observe::gpu::{drm_users, users};
use crate::observe::memory::MemoryReader;
use crate::observe::process::cpuset::Cpusets;
use crate::observe::process::pool::{Readers, lock};
use crate::observe::process::process_reader::{MemoryInput, ProcessReader};
use crate::observe::process::stat::{Stat, Stats, has_ended};
use crate::observe::selection::{Selection, select};
use crate::units::Pid;

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
    readers: &Readers,
    stats_read: Stats,
    gpus: &mut [Gpu],
    named: &[Pid],
    strangers: &mut BTreeSet<Pid>,
    unseen: &BTreeMap<u32, String>,
    gaps: &mut Vec<Gap>,
) -> Choice {
    let root = readers.root();
    let (mut stats, mut unread) = (BTreeMap::new(), BTreeMap::new());
    match stats_read {
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
    if let Some(own) = root.own_pid() {
        // The one that asks the driver is its child.
        stats.retain(|pid, stat| *pid != own && stat.ppid != own);
    }
    users::disbelieve(root, gpus, &stats, strangers, gaps);
    users::find(readers, gpus, &stats);
    drm_users::find(readers, gpus, &stats, unseen, gaps);
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
        selection: select(readers, &stats, &holders, named),
        stats,
        holders,
        missing,
    }
}

/// Reads the chosen processes, by PID, and gives those of them that are orphans.
pub(crate) fn read_processes(
    readers: &Readers,
    choice: Choice,
    named: &[Pid],
    memory: MemoryReader,
    gaps: &mut Vec<Gap>,
) -> (Vec<Process>, BTreeSet<Pid>) {
    let Choice {
        mut stats,
        selection: Selection { pids, mut orphans },
        holders,
        mut missing,
    } = choice;
    stats.retain(|pid, _| pids.contains(pid));
    let with_pipes = if orphans.is_empty() {
        BTreeSet::new()
    } else {
        orphans.union(&holders).copied().collect()
    };
    let (processes, ended) = read_all(readers, stats, with_pipes, memory, gaps);
    // A process that exited is missing only if its PID was given.
    let asked_for = ended.into_iter().filter(|pid| named.contains(pid));
    missing.extend(asked_for.map(|pid| (pid, Reason::Gone)));
    gaps.extend(missing.into_iter().map(|(pid, reason)| Gap {
        pid: Some(pid),
        fact: Fact::Process,
        reason,
    }));
    orphans.retain(|pid| processes.iter().any(|process| process.pid == *pid));
    (processes, orphans)
}

/// Reads these processes; the PIDs are those that ended meanwhile. The first step, which never blocks, is done for all
/// processes before the second one: so a stuck process hides nothing of the others.
fn read_all(
    readers: &Readers,
    stats: BTreeMap<Pid, Stat>,
    with_pipes: BTreeSet<Pid>,
    memory: MemoryReader,
    gaps: &mut Vec<Gap>,
) -> (Vec<Process>, Vec<Pid>) {
    let pids: Vec<Pid> = stats.keys().copied().collect();
    let stats = Mutex::new(stats);
    let mut partial = readers.each(pids, move |root, pid, slot| {
        let stat = lock(&stats).remove(&pid);
        let reader = ProcessReader { root, pid };
        let read = stat.map(|stat| reader.read_unlocked(stat, with_pipes.contains(&pid)));
        *lock(slot) = read;
    });
    let inputs: BTreeMap<Pid, Option<MemoryInput>> = partial
        .iter()
        .map(|(pid, read)| (*pid, read.found.as_ref().map(|read| read.memory_input)))
        .collect();
    let pids: Vec<Pid> = inputs.keys().copied().collect();
    let locked = readers.each(pids, move |root, pid, slot| {
        let input = inputs.get(&pid).and_then(Option::as_ref);
        ProcessReader { root, pid }.read_locked(input, &memory, slot);
    });
    let root = readers.root();
    let mut cpusets = Cpusets::default();
    let (mut processes, mut ended) = (Vec::new(), Vec::new());
    for (pid, locked) in locked {
        let Some(read) = partial.remove(&pid).and_then(|read| read.found) else {
            gaps.push(Gap {
                pid: Some(pid),
                fact: Fact::Process,
                reason: locked.cut.unwrap_or(Reason::Gone),
            });
            continue;
        };
        let (mut process, mut own_gaps) = (read.process, read.gaps);
        if let Some(groups) = &process.groups {
            let cpuset = cpusets.of(root, groups);
            process.cpuset = own_gaps.value_or_note(pid, Fact::Cpuset, cpuset).flatten();
        }
        locked.found.add_to(&mut process, locked.cut, &mut own_gaps);
        // Checked last, so that no fact can be that of another process with this PID.
        if has_ended(root, pid, process.start_time_ticks) {
            ended.push(pid);
            continue;
        }
        gaps.append(&mut own_gaps);
        processes.push(process);
    }
    (processes, ended)
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
