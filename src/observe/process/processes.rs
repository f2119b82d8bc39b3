//! Reads all that the audit needs to know of the selected processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::jobs::Selection;
use crate::machine::{Fact, Gap, Process, Reason};
use crate::observe::memory::MemoryReader;
use crate::observe::process::{
    CpuQuotas, Cpusets, MemoryInput, NumerousFacts, PartialProcess, ProcessReader, ReadOutcome,
    Readers, SharedGroups, Stat, has_ended, lock, longest_command,
};
use crate::observe::selection::Choice;
use crate::units::Pid;

/// The selected processes, by PID, and those of them that are orphans.
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
        gpu_users,
        mut missing,
        ..
    } = choice;
    stats.retain(|pid, _| pids.contains(pid));
    readers.root().hold_only(|pid| pids.contains(&pid));
    // Pipes are needed only to find the trainers of orphans.
    let with_pipes = if orphans.is_empty() {
        BTreeSet::new()
    } else {
        &orphans | &gpu_users
    };
    let (processes, ended) = read_all(readers, stats, with_pipes, memory, gaps);
    readers.root().hold_only(|_| false);
    // A process that exited is missing only if its PID was given.
    let named: BTreeSet<&Pid> = named.iter().collect();
    let asked_for = ended.into_iter().filter(|pid| named.contains(pid));
    missing.extend(asked_for.map(|pid| (pid, Reason::Gone)));
    gaps.extend(missing.into_iter().map(|(pid, reason)| Gap {
        pid: Some(pid),
        fact: Fact::Process,
        reason,
    }));
    let is_read = |pid: &Pid| processes.binary_search_by_key(pid, |of| of.pid).is_ok();
    orphans.retain(is_read);
    (processes, orphans)
}

/// Reads these processes; the PIDs are those that ended meanwhile. Each step is done for all processes before the next one: so
/// a stuck process, or one with very many threads, hides nothing of the others.
fn read_all(
    readers: &Readers,
    stats: BTreeMap<Pid, Stat>,
    with_pipes: BTreeSet<Pid>,
    memory: MemoryReader,
    gaps: &mut Vec<Gap>,
) -> (Vec<Process>, Vec<Pid>) {
    let stats = Arc::new(stats);
    let mut partial = read_first(readers, &stats);
    read_group_limits(readers, &mut partial);
    let inputs: BTreeMap<Pid, Option<MemoryInput>> = partial
        .iter()
        .map(|(pid, read)| (*pid, read.found.as_ref().map(|read| read.memory_input)))
        .collect();
    let pids: Vec<Pid> = inputs.keys().copied().collect();
    let longest = longest_command(pids.len());
    let mut numerous = read_numerous(readers, stats, with_pipes);
    let locked = readers.each(pids, move |root, pid, slot| {
        let input = inputs.get(&pid).and_then(Option::as_ref);
        ProcessReader { root, pid }.read_locked(input, &memory, longest, slot);
    });
    let root = readers.root();
    // At its size at once: to grow, it is copied, and up to half of it stays empty.
    let (mut processes, mut ended) = (Vec::with_capacity(locked.len()), Vec::new());
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
        match numerous.remove(&pid) {
            Some(ReadOutcome {
                found: Some(found), ..
            }) => found.add_to(&mut process, &mut own_gaps),
            other => {
                let cut = other.and_then(|other| other.cut);
                own_gaps.note(pid, Fact::Threads, cut.unwrap_or(Reason::Gone));
            }
        }
        locked.found.add_to(&mut process, locked.cut, &mut own_gaps);
        // Checked last: an ended process has no argv and no memory, and its PID may be that of another one.
        if has_ended(root, pid, process.start_time_ticks) {
            ended.push(pid);
            continue;
        }
        gaps.append(&mut own_gaps);
        processes.push(process);
    }
    (processes, ended)
}

fn read_first(
    readers: &Readers,
    stats: &Arc<BTreeMap<Pid, Stat>>,
) -> BTreeMap<Pid, ReadOutcome<Option<PartialProcess>>> {
    let (pids, stats): (Vec<Pid>, _) = (stats.keys().copied().collect(), stats.clone());
    let groups = SharedGroups::default();
    readers.each(pids, move |root, pid, slot| {
        let reader = ProcessReader { root, pid };
        let read = stats.get(&pid).map(|stat| reader.read_first(stat, &groups));
        *lock(slot) = read;
    })
}

/// Those with few threads come first: one with very many delays none of the others.
fn read_numerous(
    readers: &Readers,
    stats: Arc<BTreeMap<Pid, Stat>>,
    with_pipes: BTreeSet<Pid>,
) -> BTreeMap<Pid, ReadOutcome<Option<NumerousFacts>>> {
    let until = readers.deadline();
    let mut by_size: Vec<(u64, Pid)> = stats.iter().map(|(pid, of)| (of.threads, *pid)).collect();
    by_size.sort_unstable();
    let pids = by_size.into_iter().map(|(_, pid)| pid);
    readers.each(pids, move |root, pid, slot| {
        let reader = ProcessReader { root, pid };
        let with_pipes = with_pipes.contains(&pid);
        let read = stats
            .get(&pid)
            .map(|stat| reader.read_numerous(stat, with_pipes, until));
        *lock(slot) = read;
    })
}

/// Reads what control groups limit, one file of each group for all its processes. Users can make groups, so this has a share
/// of the time.
fn read_group_limits(
    readers: &Readers,
    partial: &mut BTreeMap<Pid, ReadOutcome<Option<PartialProcess>>>,
) {
    let (root, until) = (readers.root(), readers.deadline().share());
    let in_time = || match until.is_over() {
        true => Err(Reason::Late(until.allowed)),
        false => Ok(()),
    };
    let (mut cpusets, mut quotas) = (Cpusets::default(), CpuQuotas::default());
    for read in partial.values_mut().filter_map(|of| of.found.as_mut()) {
        let (process, gaps) = (&mut read.process, &mut read.gaps);
        let (Some(groups), pid) = (&process.groups, process.pid) else {
            continue;
        };
        let cpuset = in_time().and_then(|()| cpusets.of(root, groups));
        let quota = in_time().and_then(|()| quotas.of(root, groups));
        process.cpuset = gaps.value_or_note(pid, Fact::Cpuset, cpuset).flatten();
        process.cpu_quota = gaps.value_or_note(pid, Fact::CpuQuota, quota).flatten();
    }
}
