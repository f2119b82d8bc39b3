//! Reads all that the audit needs to know of the selected processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use crate::jobs::Selection;
use crate::machine::{Fact, Gap, Process, Reason};
use crate::observe::memory::MemoryReader;
use crate::observe::process::{
    CpuQuotas, Cpusets, MemoryInput, ProcessReader, Readers, SharedGroups, Stat, has_ended, lock,
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
    let groups = Arc::new(SharedGroups::default());
    let of_first = groups.clone();
    let mut partial = readers.each(pids, move |root, pid, slot| {
        let stat = lock(&stats).remove(&pid);
        let reader = ProcessReader {
            root,
            pid,
            groups: &of_first,
        };
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
        let reader = ProcessReader {
            root,
            pid,
            groups: &groups,
        };
        reader.read_locked(input, &memory, slot);
    });
    let root = readers.root();
    let (mut cpusets, mut quotas) = (Cpusets::default(), CpuQuotas::default());
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
            let quota = quotas.of(root, groups);
            process.cpu_quota = own_gaps.value_or_note(pid, Fact::CpuQuota, quota).flatten();
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
