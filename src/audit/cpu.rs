//! Where a process's threads run and may run.

use std::collections::BTreeMap;

use super::verdict::{Judged, Locality, Verdict};
use crate::model::cpus::{Cpu, CpuSet};
use crate::model::process::{Process, Thread};
use crate::model::topology::{NodeId, NodeSet, Topology};

/// A process's CPU side. The main thread speaks for the process.
#[derive(Debug, Clone)]
pub struct CpuPlace {
    /// The node on which the main thread last ran.
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
    /// Where they last ran.
    pub by_node: BTreeMap<NodeId, usize>,
    /// How many last ran off the local nodes; `None` where these are not known.
    pub astray: Option<usize>,
    /// How many may leave the local nodes; `None` where these are not known.
    pub loose: Option<usize>,
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

/// Looks at a process's threads.
pub fn place(process: &Process, judged: &Judged) -> CpuPlace {
    let topology = judged.topology;
    let affinity_nodes = nodes(process.affinity.as_ref(), topology);
    let node = topology.node_of(process.last_cpu);
    let threads = process.threads.as_ref();
    let last_nodes = || {
        let last_cpus = threads
            .into_iter()
            .flatten()
            .filter_map(|thread| thread.last_cpu);
        last_cpus.filter_map(|cpu: Cpu| topology.node_of(cpu))
    };
    let mut by_node = BTreeMap::new();
    last_nodes().for_each(|node| *by_node.entry(node).or_default() += 1);
    let astray = last_nodes()
        .filter(|node| judged.locality(*node) != Locality::Local)
        .count();
    let standing = standing(&affinity_nodes, node, judged);
    CpuPlace {
        node,
        affinity: process.affinity.clone(),
        cpuset_nodes: process
            .cpuset
            .as_ref()
            .map(|cpuset| topology.nodes_of(&cpuset.cpus)),
        bound: (!judged.local.is_empty() && !affinity_nodes.is_empty())
            .then(|| affinity_nodes.is_subset(judged.local)),
        affinity_nodes,
        threads: threads.map(|threads| Threads {
            total: threads.len(),
            by_node,
            astray: (!judged.local.is_empty()).then_some(astray),
            loose: (!judged.local.is_empty()).then(|| loose(threads, judged)),
        }),
        standing,
        verdict: Some(verdict(process, standing, judged)),
    }
}

fn loose(threads: &[Thread], judged: &Judged) -> usize {
    let verdicts = verdicts(threads, judged);
    verdicts
        .filter(|verdict| *verdict == Verdict::AtRisk)
        .count()
}

/// Of each thread, by where it may run: held on the local nodes, free to leave them, or not known.
fn verdicts(threads: &[Thread], judged: &Judged) -> impl Iterator<Item = Verdict> {
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
pub fn own_node(process: &Process, topology: &Topology) -> NodeSet {
    let allowed = nodes(process.affinity.as_ref(), topology);
    match allowed.len() {
        // A thread that was bound in its sleep has not been there yet.
        1 => allowed,
        _ => topology.node_of(process.last_cpu).into_iter().collect(),
    }
}

fn nodes(affinity: Option<&CpuSet>, topology: &Topology) -> NodeSet {
    affinity
        .map(|cpus| topology.nodes_of(cpus))
        .unwrap_or_default()
}

/// Where a thread last ran is stale while it sleeps, so that a thread which may only run on local nodes
/// is not misplaced wherever that was, and one that may run on none of them is.
fn standing(allowed: &NodeSet, last: Option<NodeId>, judged: &Judged) -> Option<Standing> {
    // A CPU of a node whose list could not be read would pass for one that is offline.
    if judged.local.is_empty() || !judged.topology.is_whole() {
        return None;
    }
    let last = last.map(|node| judged.locality(node));
    if allowed.is_empty() {
        // Where it runs is known, what holds it is not.
        return last.filter(|at| *at != Locality::Local).map(Standing::Off);
    }
    if allowed.is_subset(judged.local) {
        return Some(Standing::Held);
    }
    if allowed.is_disjoint(judged.local) {
        // It may have last run near, before it was bound.
        let farthest = allowed.iter().map(|node| judged.locality(*node)).max();
        return farthest.map(Standing::Off);
    }
    last.map(|at| match at {
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
