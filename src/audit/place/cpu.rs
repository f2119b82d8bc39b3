//! Where the threads of a process run and may run.

use std::collections::BTreeMap;

use crate::audit::place::{
    Binding, CpuPlacement, LastRun, LocalNodes, Locality, UnboundThreads, Verdict, bindings, decide,
};
use crate::machine::{CpuTime, Process, ProcessActivity, Thread, Topology};
use crate::units::{CpuSet, NodeId, NodeSet};

/// The CPU placement of a process. The main thread stands for the process.
#[derive(Debug, Clone)]
pub(crate) struct CpuPlace {
    /// The node on which the process used most CPU time during the window. Without a window or CPU time, the node on
    /// which the main thread last ran.
    pub(crate) node: Option<NodeId>,
    /// The CPUs on which the main thread may run, including offline CPUs.
    pub(crate) affinity: Option<CpuSet>,
    /// The nodes of `affinity`.
    pub(crate) affinity_nodes: NodeSet,
    /// The nodes of the CPUs that the cpuset of the control group allows; `None` if unknown.
    pub(crate) cpuset_nodes: Option<NodeSet>,
    /// How `affinity_nodes` relate to the local nodes; `None` if either is unknown.
    pub(crate) binding: Option<Binding>,
    /// `None` if the threads could not be listed.
    pub(crate) threads: Option<Threads>,
    /// The placement of the main thread; `None` if it cannot be known.
    pub(crate) placement: Option<CpuPlacement>,
    /// `None` for a process that is not judged.
    pub(crate) verdict: Option<Verdict>,
}

impl CpuPlace {
    /// Whether the affinity allows only local nodes; `None` if unknown.
    pub(crate) fn bound(&self) -> Option<bool> {
        self.binding.map(|binding| binding == Binding::Local)
    }

    /// Whether the affinity decides where the process is: it allows one node only, or no local node. Otherwise the
    /// process is where it ran.
    pub(crate) fn is_fixed(&self) -> bool {
        self.affinity_nodes.len() == 1 || self.binding == Some(Binding::Elsewhere)
    }

    /// The nodes that the process is on; empty if unknown.
    pub(crate) fn nodes(&self) -> NodeSet {
        if self.is_fixed() {
            self.affinity_nodes.clone()
        } else if self.placement == Some(CpuPlacement::Unsettled) {
            NodeSet::new()
        } else {
            self.node.into_iter().collect()
        }
    }
}

/// The threads of a process in numbers.
#[derive(Debug, Clone)]
pub(crate) struct Threads {
    /// How many threads the process has.
    pub(crate) total: usize,
    /// Threads by the node on which each used most CPU time during the window, or else last ran.
    pub(crate) by_node: BTreeMap<NodeId, usize>,
    /// How many of them ran outside the local nodes; `None` if the local nodes are unknown.
    pub(crate) astray: Option<usize>,
    /// Those that may leave the local nodes; `None` if the local nodes are unknown.
    pub(crate) unbound: Option<UnboundThreads>,
}

/// If more than this share of the CPU time of an unbound process was used on nodes that are not local, the process is
/// not local. A smaller share is a short visit.
const NON_LOCAL_SHARE: f64 = 0.10;

/// The CPU time that a process used during the window; `None` without a window, and if it used none.
pub(crate) fn cpu_time(watched: Option<&ProcessActivity>) -> Option<&CpuTime> {
    let time = &watched?.cpu_time;
    (!time.is_none()).then_some(time)
}

/// Places the threads of a process.
pub(crate) fn place(
    process: &Process,
    watched: Option<&ProcessActivity>,
    local: &LocalNodes,
) -> CpuPlace {
    let topology = local.topology;
    let affinity_nodes = nodes(process.affinity.as_ref(), topology);
    let binding = Binding::of(&affinity_nodes, local.nodes);
    let time = cpu_time(watched);
    let node = time
        .and_then(CpuTime::most)
        .or_else(|| topology.node_of(process.last_cpu));
    let ran = match (time, node) {
        (Some(time), _) if local.has_gpu => ran_in_window(time, &affinity_nodes, local),
        // Without a GPU its own node is where it ran most, so moving between nodes is not a mismatch.
        (Some(_), Some(most)) if may_run_on(most, &affinity_nodes) => {
            LastRun::On(local.locality(most))
        }
        _ => last_run(process, local),
    };
    let placement = placement(&affinity_nodes, ran, local);
    let threads = process.threads.as_deref();
    let bindings = threads.map(|threads| bindings(threads, local));
    CpuPlace {
        node,
        affinity: process.affinity.clone(),
        cpuset_nodes: process
            .cpuset
            .as_ref()
            // A node whose CPU list could not be read would look like a node that the cpuset excludes.
            .filter(|_| topology.is_whole())
            .map(|cpuset| topology.nodes_of(&cpuset.cpus)),
        binding,
        affinity_nodes,
        threads: threads
            .zip(bindings.as_ref())
            .map(|(threads, bindings)| threads_of(process, threads, bindings, watched, local)),
        placement,
        verdict: Some(verdict(placement, bindings.as_deref(), local)),
    }
}

fn threads_of(
    process: &Process,
    threads: &[Thread],
    bindings: &[Option<Binding>],
    watched: Option<&ProcessActivity>,
    local: &LocalNodes,
) -> Threads {
    let mut by_node: BTreeMap<NodeId, usize> = BTreeMap::new();
    for thread in threads {
        if let Some(node) = ran_on(thread, watched, local.topology) {
            *by_node.entry(node).or_default() += 1;
        }
    }
    let is_known = !local.nodes.is_empty();
    let astray = by_node
        .iter()
        .filter(|(node, _)| local.locality(**node) != Locality::Local)
        .map(|(_, count)| count)
        .sum();
    Threads {
        total: threads.len(),
        by_node,
        astray: is_known.then_some(astray),
        unbound: is_known.then(|| UnboundThreads::of(process, threads, bindings)),
    }
}

/// The node on which a thread used most CPU time during the window; if it used none, or without a window, the node on
/// which it last ran.
fn ran_on(
    thread: &Thread,
    watched: Option<&ProcessActivity>,
    topology: &Topology,
) -> Option<NodeId> {
    watched
        .and_then(|watched| watched.threads.get(&thread.tid))
        .filter(|watched| thread.start_time_ticks == Some(watched.start_time_ticks.into()))
        .and_then(|watched| watched.cpu_time.most())
        .or_else(|| topology.node_of(thread.last_cpu?))
}

/// Where the main thread last ran.
fn last_run(process: &Process, local: &LocalNodes) -> LastRun {
    let affinity = process.affinity.as_ref();
    if affinity.is_some_and(|allowed| !allowed.contains(process.last_cpu)) {
        return LastRun::OnForbidden;
    }
    let node = local.topology.node_of(process.last_cpu);
    node.map_or(LastRun::Unknown, |node| LastRun::On(local.locality(node)))
}

/// Whether an affinity for these nodes allows a node. An unknown affinity (empty) excludes none.
fn may_run_on(node: NodeId, allowed: &NodeSet) -> bool {
    allowed.is_empty() || allowed.contains(&node)
}

/// Where the process used its CPU time, as far as the affinity still allows these nodes.
fn ran_in_window(time: &CpuTime, allowed: &NodeSet, local: &LocalNodes) -> LastRun {
    let is_allowed = |node: NodeId| may_run_on(node, allowed);
    if time.on(is_allowed).is_zero() {
        LastRun::OnForbidden
    } else {
        LastRun::On(locality_of_time(time, is_allowed, local))
    }
}

/// How far from the local nodes a process used its CPU time. Only nodes for which `counts` holds count.
fn locality_of_time(
    time: &CpuTime,
    counts: impl Fn(NodeId) -> bool,
    local: &LocalNodes,
) -> Locality {
    let limit = time.on(&counts).mul_f64(NON_LOCAL_SHARE);
    let is_at_least = |least| time.on(|node| counts(node) && local.locality(node) >= least) > limit;
    if is_at_least(Locality::Remote) {
        Locality::Remote
    } else if is_at_least(Locality::Near) {
        Locality::Near
    } else {
        Locality::Local
    }
}

/// For a process without a GPU: its own node, where its memory should be.
pub(crate) fn own_node(
    process: &Process,
    watched: Option<&ProcessActivity>,
    topology: &Topology,
) -> NodeSet {
    let allowed = nodes(process.affinity.as_ref(), topology);
    // A process that was bound while it slept has not run there yet.
    if allowed.len() == 1 {
        return allowed;
    }
    // A CPU that the affinity does not allow any more says nothing about where it will run.
    let is_allowed = |node: &NodeId| allowed.is_empty() || allowed.contains(node);
    let affinity = process.affinity.as_ref();
    let may_be_there = affinity.is_none_or(|cpus| cpus.contains(process.last_cpu));
    cpu_time(watched)
        .and_then(CpuTime::most)
        .filter(is_allowed)
        .or_else(|| topology.node_of(process.last_cpu).filter(|_| may_be_there))
        .into_iter()
        .collect()
}

/// The nodes of the CPUs in an affinity mask; empty if it is unknown.
pub(crate) fn nodes(affinity: Option<&CpuSet>, topology: &Topology) -> NodeSet {
    affinity
        .map(|cpus| topology.nodes_of(cpus))
        .unwrap_or_default()
}

fn placement(allowed: &NodeSet, ran: LastRun, local: &LocalNodes) -> Option<CpuPlacement> {
    // A CPU of a node whose CPU list could not be read would look like an offline CPU.
    if local.nodes.is_empty() || !local.topology.is_whole() {
        return None;
    }
    let mask = allowed.iter().map(|node| local.locality(*node)).collect();
    decide(&mask, ran)
}

/// `threads` are the bindings of all threads; `None` if they could not be listed.
fn verdict(
    main: Option<CpuPlacement>,
    threads: Option<&[Option<Binding>]>,
    local: &LocalNodes,
) -> Verdict {
    if local.is_single_node() {
        return Verdict::SingleNode;
    }
    match main {
        None => Verdict::Unknown,
        Some(CpuPlacement::Bound) => threads.map_or(Verdict::Unknown, verdict_of_threads),
        Some(other) => other.verdict(),
    }
}

fn verdict_of_threads(bindings: &[Option<Binding>]) -> Verdict {
    let may_leave = |binding: &Option<Binding>| binding.is_some_and(|of| of != Binding::Local);
    if bindings.iter().any(may_leave) {
        Verdict::AtRisk
    } else if bindings.is_empty() || bindings.contains(&None) {
        Verdict::Unknown
    } else {
        Verdict::Ok
    }
}
