//! Finds the processes that the audit needs: reads what decides it, as far as it is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::jobs::{ProcessReads, ProcessTree, Selection, select, users_of};
use crate::machine::{ControlGroup, Fact, Gap, Gpu, Reason};
use crate::observe::gpu::{drm_users, users};
use crate::observe::process::{Readers, Stat, Stats, cgroup, cmdline, left_behind, lock};
use crate::observe::root::{Manifest, Root};
use crate::units::Pid;

/// The processes that the audit needs.
pub(crate) struct Choice {
    /// `stat` of every process that is not a thread of the kernel.
    pub(crate) stats: BTreeMap<Pid, Stat>,
    /// The processes to read.
    pub(crate) selection: Selection,
    /// The processes that use a GPU.
    pub(crate) gpu_users: BTreeSet<Pid>,
    /// Named processes and GPU users that cannot be read, with the reason.
    pub(crate) missing: BTreeMap<Pid, Reason>,
    /// PIDs that NVML lists and that are from another PID namespace.
    pub(crate) foreign_pids: BTreeSet<Pid>,
}

/// Finds the users of the GPUs, which it adds to `gpus`, and with them the processes to read. `manifest`: of the recording,
/// which has less files than the machine had.
pub(crate) fn choose(
    readers: &Readers,
    stats: Stats,
    gpus: &mut [Gpu],
    named: &[Pid],
    manifest: &Manifest,
    gaps: &mut Vec<Gap>,
) -> Choice {
    let (mut stats, mut unread) = split(stats, gaps);
    left_behind::give_up_held(readers.root(), &mut stats);
    remove_own(readers.root(), &mut stats);
    let recorded = manifest.strangers.iter().copied().map(Pid).collect();
    let foreign_pids = users::remove_foreign_pids(readers, gpus, &stats, &recorded, gaps);
    users::find(readers, gpus, &stats, manifest, gaps);
    let of_kernel = remove_kernel_threads(&mut stats);
    let tree = ProcessTree::new(stats.iter().map(|(pid, stat)| (*pid, stat.ppid)));
    drm_users::find(readers, gpus, &tree, &manifest.unseen, gaps);
    let gpu_users = users_of(gpus);
    let wanted = if named.is_empty() {
        gpu_users.clone()
    } else {
        named.iter().copied().collect()
    };
    let missing = wanted.into_iter().filter(|pid| !stats.contains_key(pid));
    let missing = missing.map(|pid| {
        let reason = if of_kernel.contains(&pid) {
            Reason::Failed("a kernel thread, which has no memory of its own".into())
        } else {
            unread.remove(&pid).unwrap_or(Reason::Absent)
        };
        (pid, reason)
    });
    let missing = missing.collect();
    gaps.extend(hidden(unread));
    let reads = Reads {
        readers,
        stats: &stats,
    };
    Choice {
        selection: select(&tree, &reads, &gpu_users, named),
        stats,
        gpu_users,
        missing,
        foreign_pids,
    }
}

/// Removes the processes of this program: the one that reads, its child that asks NVML, and the parent for which it reads.
fn remove_own(root: &Root, stats: &mut BTreeMap<Pid, Stat>) {
    let Some(own) = root.own_pid() else {
        return;
    };
    let parent = stats.get(&own).map(|stat| stat.ppid);
    let parent = parent.filter(|_| root.is_in_child());
    stats.retain(|pid, stat| *pid != own && stat.ppid != own && Some(*pid) != parent);
}

/// The processes whose `stat` could be read, and the reasons for all others.
fn split(stats: Stats, gaps: &mut Vec<Gap>) -> (BTreeMap<Pid, Stat>, BTreeMap<Pid, Reason>) {
    let (mut read, mut unread) = (BTreeMap::new(), BTreeMap::new());
    let stats = stats.unwrap_or_else(|reason| {
        gaps.push(Gap {
            pid: None,
            fact: Fact::Processes,
            reason,
        });
        BTreeMap::new()
    });
    for (pid, stat) in stats {
        match stat {
            Ok(stat) => drop(read.insert(pid, stat)),
            Err(reason) => drop(unread.insert(pid, reason)),
        }
    }
    (read, unread)
}

fn remove_kernel_threads(stats: &mut BTreeMap<Pid, Stat>) -> BTreeSet<Pid> {
    let of_kernel = stats.iter().filter(|(_, stat)| stat.is_of_kernel());
    let of_kernel: BTreeSet<Pid> = of_kernel.map(|(pid, _)| *pid).collect();
    stats.retain(|pid, _| !of_kernel.contains(pid));
    of_kernel
}

/// Processes whose `stat` could not be read and that were not asked for: any of them may belong to a job. With hidepid there
/// may be thousands: these are only counted.
fn hidden(mut unread: BTreeMap<Pid, Reason>) -> Vec<Gap> {
    // These matter only where a driver lists them or they were named.
    unread.retain(|_, reason| !matches!(reason, Reason::Zombie | Reason::Ending));
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

struct Reads<'a> {
    readers: &'a Readers,
    stats: &'a BTreeMap<Pid, Stat>,
}

impl ProcessReads for Reads<'_> {
    fn name(&self, pid: Pid) -> &str {
        self.stats.get(&pid).map_or("", |stat| &stat.name)
    }

    fn session(&self, pid: Pid) -> Pid {
        self.stats.get(&pid).map_or(Pid(0), |stat| stat.session)
    }

    fn read_commands(&self, pids: BTreeSet<Pid>) -> BTreeMap<Pid, Vec<String>> {
        let longest = cmdline::longest_command(pids.len());
        let read = move |root: &Root, pid, _, command: &Mutex<Vec<String>>| {
            let read = cmdline::read_command(root, pid, longest).unwrap_or_default();
            *lock(command) = read;
        };
        let read = self.readers.each_in_share(pids, read);
        read.into_iter()
            .map(|(pid, read)| (pid, read.found))
            .collect()
    }

    fn read_groups(&self, pid: Pid) -> Option<Vec<ControlGroup>> {
        cgroup::read_cgroup(self.readers.root(), pid).ok()
    }
}
