//! Processes of earlier runs of this program that could not end.
//!
//! A thread that waits in the kernel for another process's memory lock, or for the driver, may not end before its wait does, and its
//! process stays with it. Such processes are found by name and user, so that a run every minute does not add one every minute:
//! what one of them waits for is not tried again, and beyond a number of them nothing is tried that they can wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;

use crate::machine::Reason;
use crate::observe::process::{Stat, Stats};
use crate::observe::root::Root;
use crate::units::Pid;

/// With this many left behind, no more are risked.
const MOST: usize = 8;

/// The name of the process that asks NVML. The kernel keeps 15 bytes of a name.
pub(crate) const NVML_CHILD: &str = "numa-audit-nvml";

/// The name of a thread that reads a process starts with this word; the PID follows.
const READS: &str = "reads ";

/// Names the calling thread after the process that it is about to read.
pub(crate) fn name_thread_after(pid: Pid) {
    if let Ok(name) = CString::new(format!("{READS}{pid}")) {
        // The name only helps later runs.
        let _ = rustix::thread::set_name(&name);
    }
}

/// Names the calling process as the one that asks NVML.
pub(crate) fn name_nvml_child() {
    if let Ok(name) = CString::new(NVML_CHILD) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Gives up the processes for which earlier runs still wait, and removes these runs from `stats`.
pub(crate) fn give_up_held(root: &Root, stats: &mut BTreeMap<Pid, Stat>) {
    let Some(own) = root.own_pid().and_then(|own| stats.get(&own)) else {
        return;
    };
    let (name, mut held) = (own.name.clone(), BTreeMap::new());
    let mut runs = BTreeSet::new();
    for (pid, stat) in stats.iter() {
        // Of a run that was left behind the main thread has ended.
        if stat.name == name && root.thread_to_ask(*pid) != *pid && is_of_own_user(root, *pid) {
            runs.insert(*pid);
            held.extend(
                processes_read_by(root, *pid).map(|read| (read, (*pid, stat.start_time_ticks))),
            );
        }
    }
    for (pid, (run, since)) in &held {
        // A later process with this PID is not waited for.
        if stats
            .get(pid)
            .is_some_and(|stat| stat.start_time_ticks <= *since)
        {
            root.give_up_because(*pid, waits(*run));
        }
    }
    if runs.len() >= MOST {
        root.give_up_all(Reason::Failed(format!(
            "not read: {} earlier runs of numa-audit still wait for the memory of processes",
            runs.len()
        )));
    }
    stats.retain(|pid, _| !runs.contains(pid));
}

fn waits(run: Pid) -> Reason {
    Reason::Failed(format!(
        "not read: an earlier run of numa-audit (process {run}) still waits for it"
    ))
}

/// Why the driver is not asked: too many earlier runs still wait for it. `None` where it may be asked.
pub(crate) fn driver_is_held(root: &Root, stats: &Stats) -> Option<String> {
    let stats = stats.as_ref().ok()?;
    let name = |pid| Some(stats.get(&pid)?.as_ref().ok()?.name.as_str());
    let own = name(root.own_pid()?)?;
    let children = stats.values().flatten();
    let children = children.filter(|stat| stat.name == NVML_CHILD);
    // The kernel gives those that were left behind another parent.
    let left = children.filter(|child| name(child.ppid) != Some(own));
    let count = left.filter(|child| is_of_own_user(root, child.pid)).count();
    (count >= MOST)
        .then(|| format!("not asked: {count} earlier runs of numa-audit still wait for the driver"))
}

/// The processes that the threads of this run wait for.
fn processes_read_by(root: &Root, run: Pid) -> impl Iterator<Item = Pid> {
    let folder = format!("proc/{run}/task");
    let tids = root.numbers(&folder).unwrap_or_default();
    let names = tids.into_iter().filter_map(move |tid| {
        let name = root.read(&format!("{folder}/{tid}/comm")).ok()?;
        String::from_utf8(name).ok()
    });
    let pids: Vec<Pid> = names
        .filter_map(|name| name.trim_end().strip_prefix(READS)?.parse().ok().map(Pid))
        .collect();
    pids.into_iter()
}

/// Whether all four user numbers of a process are this process's effective one: a program that changes its user when it is
/// started keeps the number of the one who started it.
fn is_of_own_user(root: &Root, pid: Pid) -> bool {
    let own = rustix::process::geteuid().as_raw().to_string();
    let status = root.read(&format!("proc/{pid}/status")).unwrap_or_default();
    let mut lines = status.split(|byte| *byte == b'\n');
    let users = lines.find_map(|line| line.strip_prefix(b"Uid:"));
    users.is_some_and(|users| {
        let mut users = users
            .split(|byte| *byte == b'\t')
            .filter(|user| !user.is_empty());
        users.all(|user| user == own.as_bytes())
    })
}
