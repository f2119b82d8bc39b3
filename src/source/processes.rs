//! The processes that matter: which these are, and all that is to be known of them.

use std::collections::{BTreeMap, BTreeSet};

use super::root::Root;
use super::{drm_users, procfs, users};
use crate::model::family::{Family, bounds_job, is_forkserver, is_resource_tracker, serves_gpus};
use crate::model::gap::{Fact, Gap, Reason};
use crate::model::gpu::Gpu;
use crate::model::process::{Pid, Process};
use crate::parse::stat::Stat;

/// Reads the processes that matter, by PID. `strangers` are the PIDs that a recording says are not whom NVML means; those
/// that are found are added. `unseen` is what it says of why it is not known who uses some GPUs.
pub fn read_processes(
    root: &Root,
    gpus: &mut [Gpu],
    named: &[Pid],
    strangers: &mut BTreeSet<Pid>,
    unseen: &BTreeMap<u32, String>,
    gaps: &mut Vec<Gap>,
) -> Vec<Process> {
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
    let mut processes = Vec::new();
    for pid in select(root, &stats, &holders, named) {
        if let Some(stat) = stats.remove(&pid) {
            match procfs::read_process(root, pid, stat, gaps) {
                Some(process) => processes.push(process),
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
    processes
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

/// The processes that matter. Of those that hold a context: with their descendants, the launchers above them
/// and the launchers' own helpers. Of named ones: with their descendants, and what leads up to a trainer.
fn select(
    root: &Root,
    stats: &BTreeMap<Pid, Stat>,
    holders: &BTreeSet<Pid>,
    named: &[Pid],
) -> BTreeSet<Pid> {
    let family = Family::new(stats.iter().map(|(pid, stat)| (*pid, stat.ppid)));
    if !named.is_empty() {
        let mut selected = family.with_descendants(named.iter().copied());
        for pid in named {
            let ancestors = family.ancestors(*pid);
            if let Some(trainer) = ancestors.iter().position(|pid| holders.contains(pid)) {
                selected.extend(&ancestors[..=trainer]);
            }
        }
        return selected;
    }
    let mut selected = family.with_descendants(holders.iter().copied());
    let command = |pid: Pid| procfs::read_command(root, pid).unwrap_or_default();
    let mut launchers = BTreeSet::new();
    let is_server = |pid: &&Pid| stats.get(pid).is_some_and(|stat| serves_gpus(&stat.name));
    for holder in holders.iter().filter(|pid| !is_server(pid)) {
        let ancestors = family.ancestors(*holder).into_iter();
        let of_job = ancestors.take_while(|pid| {
            let name = stats.get(pid).map_or("", |stat| &stat.name);
            !bounds_job(name, &command(*pid)) && !is_init_of_another_group(root, *pid, *holder)
        });
        launchers.extend(of_job);
    }
    for launcher in &launchers {
        let helpers = family.children(*launcher).iter().filter(|pid| {
            let command = command(**pid);
            is_resource_tracker(&command) || is_forkserver(&command)
        });
        selected.extend(helpers);
    }
    selected.extend(launchers);
    selected
}

/// Whether this is the first process and of another control group than the job: an init. In a container
/// the first process is in the job's own group, and may well be its launcher.
fn is_init_of_another_group(root: &Root, pid: Pid, holder: Pid) -> bool {
    pid == Pid(1) && procfs::read_cgroup(root, pid) != procfs::read_cgroup(root, holder)
}
