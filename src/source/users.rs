//! Who works on which GPU of NVIDIA's: whom of the driver's lists to believe, and whom else the files tell.

use std::collections::{BTreeMap, BTreeSet};

use super::procfs;
use super::root::Root;
use crate::model::gap::{Fact, Gap, Reason};
use crate::model::gpu::{Evidence, Gpu};
use crate::model::process::Pid;
use crate::parse::stat::Stat;

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
        let files = procfs::read_driver_files(root, *pid);
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
pub fn find(root: &Root, gpus: &mut [Gpu], stats: &BTreeMap<Pid, Stat>) {
    // A context of a process that is not to be seen here is as good as none.
    let is_silent = |gpu: &Gpu| {
        let mut contexts = gpu.contexts.iter().flatten();
        let is_seen = contexts.any(|context| stats.contains_key(&context.pid));
        gpu.drm.is_none() && (gpu.contexts.is_none() || (!is_seen && gpu.is_in_use()))
    };
    if !gpus.iter().any(is_silent) {
        return;
    }
    let contexts = gpus.iter().flat_map(|gpu| gpu.contexts.iter().flatten());
    let named: BTreeSet<Pid> = contexts.map(|context| context.pid).collect();
    let mut minors: BTreeMap<Pid, u32> = BTreeMap::new();
    for pid in stats.keys().filter(|pid| !named.contains(pid)) {
        let files = procfs::read_driver_files(root, *pid).unwrap_or_default();
        minors.extend(files.clear_minor().map(|minor| (*pid, minor)));
    }
    // A forked worker has inherited its trainer's files.
    let has_inherited = |pid: Pid, minor: u32| {
        let parent = stats.get(&pid).map(|stat| stat.ppid);
        parent.is_some_and(|parent| parent != pid && minors.get(&parent) == Some(&minor))
    };
    for gpu in gpus.iter_mut().filter(|gpu| is_silent(gpu)) {
        let own = minors
            .iter()
            .filter(|(_, minor)| gpu.minor == Some(**minor));
        let openers = own.filter(|(pid, minor)| !has_inherited(**pid, **minor));
        gpu.users = openers.map(|(pid, _)| (*pid, Evidence::Files)).collect();
    }
}
