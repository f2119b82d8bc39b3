//! Reads all that the audit needs to know of the selected processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::jobs::selection::Selection;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::process::Process;
use crate::observe::memory::MemoryReader;
use crate::observe::process::cpuset::Cpusets;
use crate::observe::process::procfs;
use crate::observe::process::procfs::{BeforeMemory, Draft};
use crate::observe::process::readers::{Readers, lock};
use crate::observe::process::stat::Stat;
use crate::observe::root::Root;
use crate::observe::selection::Choice;
use crate::units::Pid;

/// The selected processes, by PID, and which of them are orphans.
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
    // Pipes are needed only to find the trainers of orphans.
    let with_pipes = if orphans.is_empty() {
        BTreeSet::new()
    } else {
        &orphans | &gpu_users
    };
    let (processes, ended) = read_all(readers, stats, with_pipes, memory, gaps);
    // A process that exited is not reported as missing unless it was named.
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

/// Reads these processes, and tells which of them ended meanwhile. First of all of them what cannot keep anybody waiting,
/// then of each what is in its memory: so one that is stuck hides nothing of the others, and of itself only that.
fn read_all(
    readers: &Readers,
    stats: BTreeMap<Pid, Stat>,
    with_pipes: BTreeSet<Pid>,
    memory: MemoryReader,
    gaps: &mut Vec<Gap>,
) -> (Vec<Process>, Vec<Pid>) {
    let (pids, stats): (Vec<Pid>, Mutex<BTreeMap<Pid, Stat>>) =
        (stats.keys().copied().collect(), Mutex::new(stats));
    let mut drafts = readers.each(pids, move |root, pid, slot| {
        let stat = lock(&stats).remove(&pid);
        let draft = stat.map(|stat| {
            let mut draft = procfs::read_process(root, pid, stat);
            if with_pipes.contains(&pid) {
                draft.process.pipes = pipes(root, pid, &mut draft.gaps);
            }
            draft
        });
        *lock(slot) = draft;
    });
    let before = drafts.iter().map(|(pid, draft)| {
        let before = draft.found.as_ref().map(Draft::before_memory);
        (*pid, before)
    });
    let before: BTreeMap<Pid, Option<BeforeMemory>> = before.collect();
    let pids: Vec<Pid> = before.keys().copied().collect();
    let of_memory = readers.each(pids, move |root, pid, slot| {
        let before = before.get(&pid).and_then(Option::as_ref);
        procfs::read_of_memory(root, pid, before, &memory, slot);
    });
    let root = readers.root();
    let mut cpusets = Cpusets::default();
    let (mut processes, mut ended) = (Vec::new(), Vec::new());
    for (pid, of_memory) in of_memory {
        let draft = drafts.remove(&pid);
        let Some(Draft {
            mut process,
            gaps: mut own_gaps,
            ..
        }) = draft.and_then(|draft| draft.found)
        else {
            let reason = of_memory.cut.unwrap_or(Reason::Gone);
            gaps.push(Gap {
                pid: Some(pid),
                fact: Fact::Process,
                reason,
            });
            continue;
        };
        if let Some(groups) = &process.groups {
            let cpuset = cpusets.of(root, groups).unwrap_or_else(|reason| {
                own_gaps.push(Gap {
                    pid: Some(pid),
                    fact: Fact::Cpuset,
                    reason,
                });
                None
            });
            process.cpuset = cpuset;
        }
        of_memory
            .found
            .put(&mut process, of_memory.cut, &mut own_gaps);
        // Last of all: so nothing of another process of that number can be in it.
        if procfs::has_ended(root, pid, process.start_time_ticks) {
            ended.push(pid);
            continue;
        }
        gaps.append(&mut own_gaps);
        processes.push(process);
    }
    (processes, ended)
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
