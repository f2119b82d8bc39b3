//! Who works on which GPU of NVIDIA's: whom of the driver's lists to believe, and whom else the files tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::process_tree::serves_gpus;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::{Evidence, Gpu};
use crate::observe::process::pool::{Readers, lock};
use crate::observe::process::stat::Stat;
use crate::observe::process::{environ, open_files};
use crate::observe::root::Root;
use crate::units::Pid;

/// Drops the contexts of processes that have no file of the driver open: the driver means another PID namespace's.
/// Where that may not be read, the driver is believed.
pub fn disbelieve(
    root: &Root,
    gpus: &mut [Gpu],
    stats: &BTreeMap<Pid, Stat>,
    strangers: &mut BTreeSet<Pid>,
    gaps: &mut Vec<Gap>,
) {
    let contexts = gpus.iter().flat_map(|gpu| gpu.contexts.iter().flatten());
    let named: BTreeSet<Pid> = contexts.map(|context| context.pid).collect();
    let has_nothing_open = |pid: &Pid| {
        let files = open_files::read_driver_files(root, *pid);
        stats.contains_key(pid) && files.is_ok_and(|files| files.total == 0)
    };
    strangers.retain(|pid| named.contains(pid));
    strangers.extend(named.into_iter().filter(has_nothing_open));
    for gpu in gpus {
        if let Some(contexts) = &mut gpu.contexts {
            contexts.retain(|context| !strangers.contains(&context.pid));
        }
    }
    gaps.extend(strangers.iter().map(|pid| Gap {
        pid: Some(*pid),
        fact: Fact::Process,
        reason: Reason::Failed(
            "the driver names it, and it has no file of the driver's open: the driver means another one of that \
             number, in another PID namespace"
                .into(),
        ),
    }));
}

/// Where the driver names nobody and somebody may be there, looks for those that work on a GPU by other evidence.
pub fn find(readers: &Readers, gpus: &mut [Gpu], stats: &BTreeMap<Pid, Stat>) {
    // A context of a process that is not to be seen here is as good as none.
    let is_silent = |gpu: &Gpu| {
        let mut contexts = gpu.contexts.iter().flatten();
        let is_seen = contexts.any(|context| stats.contains_key(&context.pid));
        gpu.drm.is_none() && (gpu.contexts.is_none() || (!is_seen && gpu.is_in_use()))
    };
    let silent: BTreeSet<usize> = (0..gpus.len()).filter(|at| is_silent(&gpus[*at])).collect();
    if silent.is_empty() {
        return;
    }
    let contexts = gpus.iter().flat_map(|gpu| gpu.contexts.iter().flatten());
    let named: BTreeSet<Pid> = contexts.map(|context| context.pid).collect();
    let mut found: BTreeMap<Pid, (usize, Evidence)> = BTreeMap::new();
    let others = stats.keys().filter(|pid| !named.contains(pid)).copied();
    let opened = readers.each(others, |root, pid, files| {
        *lock(files) = open_files::read_driver_files(root, pid).unwrap_or_default();
    });
    for (pid, files) in &opened {
        let (files, Some(stat)) = (&files.found, stats.get(pid)) else {
            continue;
        };
        let by_files = files.clear_minor().and_then(|minor| {
            let at = gpus.iter().position(|gpu| gpu.minor == Some(minor))?;
            Some((at, Evidence::Files))
        });
        // What serves or watches GPUs has them all open, and works on none.
        let is_open = files.total > 0 && !serves_gpus(&stat.name);
        let by_environment = || {
            if !is_open {
                return None;
            }
            let environment = readers.one(*pid, environ::read_environment).ok()?.ok()?;
            let index = environment.gpu_hint(gpus)?;
            let at = gpus.iter().position(|gpu| gpu.index == index)?;
            Some((at, Evidence::Environment))
        };
        found.extend(by_files.or_else(by_environment).map(|user| (*pid, user)));
    }
    for (pid, (at, evidence)) in &found {
        // A forked worker has inherited its trainer's files, and its environment. A trainer is no worker of a launcher
        // of which less is known.
        let parent = stats
            .get(pid)
            .map(|stat| stat.ppid)
            .filter(|parent| parent != pid);
        let parents = parent.and_then(|parent| found.get(&parent));
        let has_inherited =
            parents.is_some_and(|(of_parent, how)| of_parent == at && how <= evidence);
        if silent.contains(at) && !has_inherited {
            gpus[*at].users.insert(*pid, *evidence);
        }
    }
    // A hint stands where there is nothing harder.
    for gpu in gpus {
        let hardest = gpu.users.values().copied().min();
        gpu.users.retain(|_, evidence| Some(*evidence) == hardest);
    }
}
