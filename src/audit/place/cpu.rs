//! Where a process's threads run and may run.

use std::collections::BTreeMap;

use crate::audit::place::threads::LooseThreads;
use crate::audit::place::verdict::{Judged, Locality, Verdict};
use crate::machine::process::{Process, Thread};
use crate::machine::topology::Topology;
use crate::machine::window::{CpuTime, ProcessActivity};
use crate::units::{CpuSet, NodeId, NodeSet};

/// A process's CPU side. The main thread speaks for the process.
#[derive(Debug, Clone)]
pub struct CpuPlace {
    /// The node on which it spent most CPU time over a while; where it used none, or nobody looked so long, the one on
    /// which the main thread last ran.
    pub node: Option<NodeId>,
    /// The CPUs on which the main thread may run, offline ones among them.
    pub affinity: Option<CpuSet>,
    /// The nodes of these.
    pub affinity_nodes: NodeSet,
    /// The nodes of the CPUs that its control group leaves it; `None` where that is not known.
    pub cpuset_nodes: Option<NodeSet>,
    /// Whether its affinity lies inside the local nodes; `None` where either is not known.
    pub bound: Option<bool>,
    /// All threads; `None` where they could not be listed.
    pub threads: Option<Threads>,
    /// Where the main thread stands; `None` where that cannot be told.
    pub standing: Option<Standing>,
    /// `None` for a process that is not judged.
    pub verdict: Option<Verdict>,
}

/// A process's threads in numbers.
#[derive(Debug, Clone)]
pub struct Threads {
    /// How many there are.
    pub total: usize,
    /// Where they ran: of one that used CPU time while it was watched, where it used most; else where it last ran.
    pub by_node: BTreeMap<NodeId, usize>,
    /// How many of them ran off the local nodes; `None` where these are not known.
    pub astray: Option<usize>,
    /// Those that may leave the local nodes; `None` where these are not known.
    pub loose: Option<LooseThreads>,
}

/// Where a thread is and may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It may run on local nodes alone.
    Held,
    /// It is on a local node and may leave it.
    Loose,
    /// It is off the local nodes, this far.
    Off(Locality),
}

/// Of the CPU time of a process that nothing holds, beyond which share on other nodes it is off its local ones. Less than
/// that is a visit.
const OFF_SHARE: f64 = 0.10;

/// The CPU time that a process used while it was watched; `None` where it used none, or was not watched.
pub fn spent(watched: Option<&ProcessActivity>) -> Option<&CpuTime> {
    let time = &watched?.cpu_time;
    (!time.is_none()).then_some(time)
}

/// Looks at a process's threads.
pub fn place(process: &Process, watched: Option<&ProcessActivity>, judged: &Judged) -> CpuPlace {
    let topology = judged.topology;
    let affinity_nodes = nodes(process.affinity.as_ref(), topology);
    let last = topology.node_of(process.last_cpu);
    let spent = spent(watched);
    let threads = process.threads.as_ref();
    let ran_on: Vec<NodeId> = threads
        .into_iter()
        .flatten()
        .filter_map(|thread| ran_on(thread, watched, topology))
        .collect();
    let mut by_node = BTreeMap::new();
    ran_on
        .iter()
        .for_each(|node| *by_node.entry(*node).or_default() += 1);
    let astray = ran_on
        .iter()
        .filter(|node| judged.locality(**node) != Locality::Local)
        .count();
    let node = spent.and_then(CpuTime::most).or(last);
    let whereabouts = match spent {
        Some(time) if judged.has_gpu => Some(of_time(time, judged)),
        _ => node.map(|node| judged.locality(node)),
    };
    let standing = standing(&affinity_nodes, whereabouts, judged);
    CpuPlace {
        node,
        affinity: process.affinity.clone(),
        cpuset_nodes: process
            .cpuset
            .as_ref()
            // A node whose list could not be read would pass for one that it does not leave.
            .filter(|_| topology.is_whole())
            .map(|cpuset| topology.nodes_of(&cpuset.cpus)),
        bound: (!judged.local.is_empty() && !affinity_nodes.is_empty())
            .then(|| affinity_nodes.is_subset(judged.local)),
        affinity_nodes,
        threads: threads.map(|threads| Threads {
            total: threads.len(),
            by_node,
            astray: (!judged.local.is_empty()).then_some(astray),
            loose: (!judged.local.is_empty()).then(|| LooseThreads::of(process, threads, judged)),
        }),
        standing,
        verdict: Some(verdict(process, standing, judged)),
    }
}

/// The node on which a thread ran: where it used most CPU time while it was watched; where it used none, or was not
/// watched, where it last ran.
fn ran_on(
    thread: &Thread,
    watched: Option<&ProcessActivity>,
    topology: &Topology,
) -> Option<NodeId> {
    let watched = watched.and_then(|watched| watched.threads.get(&thread.tid));
    let watched = watched.filter(|of| thread.start_time_ticks == Some(of.start_time_ticks));
    let most = watched.and_then(|watched| watched.cpu_time.most());
    most.or_else(|| topology.node_of(thread.last_cpu?))
}

/// How far from the local nodes a process was that spent its CPU time so.
fn of_time(time: &CpuTime, judged: &Judged) -> Locality {
    let most = time.total().mul_f64(OFF_SHARE);
    let beyond = |from: Locality| time.on(|node| judged.locality(node) >= from) > most;
    match (beyond(Locality::Remote), beyond(Locality::Near)) {
        (true, _) => Locality::Remote,
        (false, true) => Locality::Near,
        (false, false) => Locality::Local,
    }
}

/// Of each thread, by where it may run: held on the local nodes, free to leave them, or not known.
pub(crate) fn verdicts(threads: &[Thread], judged: &Judged) -> impl Iterator<Item = Verdict> {
    // Most may run on the same CPUs as the one before.
    let mut last: Option<(Option<&CpuSet>, Verdict)> = None;
    threads.iter().map(move |thread| {
        let affinity = thread.affinity.as_deref();
        if let Some((_, verdict)) = last.filter(|(same, _)| *same == affinity) {
            return verdict;
        }
        let allowed = nodes(affinity, judged.topology);
        let verdict = match allowed.is_subset(judged.local) {
            _ if allowed.is_empty() => Verdict::Unknown,
            true => Verdict::Ok,
            false => Verdict::AtRisk,
        };
        last = Some((affinity, verdict));
        verdict
    })
}

/// For a process without a GPU: the node that its memory should be on, which is the one that it runs on.
pub fn own_node(
    process: &Process,
    watched: Option<&ProcessActivity>,
    topology: &Topology,
) -> NodeSet {
    let allowed = nodes(process.affinity.as_ref(), topology);
    match allowed.len() {
        // A thread that was bound in its sleep has not been there yet.
        1 => allowed,
        _ => {
            let most = spent(watched).and_then(CpuTime::most);
            let node = most.or_else(|| topology.node_of(process.last_cpu));
            node.into_iter().collect()
        }
    }
}

/// The nodes of the CPUs on which a thread may run.
pub(crate) fn nodes(affinity: Option<&CpuSet>, topology: &Topology) -> NodeSet {
    affinity
        .map(|cpus| topology.nodes_of(cpus))
        .unwrap_or_default()
}

/// Where a thread last ran is stale while it sleeps, so that a thread which may only run on local nodes
/// is not misplaced wherever that was, and one that may run on none of them is. `whereabouts` is how far from them it ran
/// while it was watched, else where it last ran.
fn standing(allowed: &NodeSet, whereabouts: Option<Locality>, judged: &Judged) -> Option<Standing> {
    // A CPU of a node whose list could not be read would pass for one that is offline.
    if judged.local.is_empty() || !judged.topology.is_whole() {
        return None;
    }
    if allowed.is_empty() {
        // Where it runs is known, what holds it is not.
        return whereabouts
            .filter(|at| *at != Locality::Local)
            .map(Standing::Off);
    }
    if allowed.is_subset(judged.local) {
        return Some(Standing::Held);
    }
    if allowed.is_disjoint(judged.local) {
        // It may have last run near, before it was bound.
        let farthest = allowed.iter().map(|node| judged.locality(*node)).max();
        return farthest.map(Standing::Off);
    }
    whereabouts.map(|at| match at {
        Locality::Local => Standing::Loose,
        off => Standing::Off(off),
    })
}

fn verdict(process: &Process, main: Option<Standing>, judged: &Judged) -> Verdict {
    if judged.is_single_node() {
        return Verdict::SingleNode;
    }
    let of_others = || {
        let Some(threads) = &process.threads else {
            return Verdict::Unknown;
        };
        match verdicts(threads, judged).any(|verdict| verdict == Verdict::AtRisk) {
            true => Verdict::AtRisk,
            false => verdicts(threads, judged).max().unwrap_or(Verdict::Unknown),
        }
    };
    match main {
        None => Verdict::Unknown,
        Some(Standing::Off(Locality::Remote)) => Verdict::Mismatch,
        Some(Standing::Off(_) | Standing::Loose) => Verdict::AtRisk,
        Some(Standing::Held) => of_others(),
    }
}
