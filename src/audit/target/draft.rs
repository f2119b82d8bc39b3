//! The target of one process by itself: what its cpuset, its memory policy and its pages allow.

use crate::audit::PlacedProcess;
use crate::audit::target::demand::Demand;
use crate::audit::target::{MemoryBinding, Obstacle, Target};
use crate::machine::{Mode, Policy, Topology};
use crate::units::{Bytes, Cpu, CpuSet, NodeId, NodeSet, Pid};

/// A target before the free memory of its nodes is known.
pub(crate) struct Draft {
    pub(crate) target: Target,
    pub(crate) demand: Demand,
    /// The process whose pages it may share.
    pub(crate) trainer: Pid,
}

impl Draft {
    pub(crate) fn of(
        placed: &PlacedProcess,
        topology: &Topology,
        gpu_memory: &NodeSet,
        isolated: &CpuSet,
    ) -> Option<Self> {
        if !placed.is_judged() || placed.local_nodes.is_empty() {
            return None;
        }
        let memory_nodes = placed.local_memory_nodes.clone();
        let allowed = allowed_memory(placed, &memory_nodes);
        let chosen = chosen_nodes(placed, topology, gpu_memory, &memory_nodes);
        let demand = Demand::of(placed, &allowed, &chosen);
        let mut target = Target {
            cpus: allowed_cpus(placed, topology, isolated),
            memory_nodes: allowed,
            ..Target::default()
        };
        if !chosen.is_empty() {
            target.memory_binding = MemoryBinding::Chosen;
        }
        target.obstacles = obstacles(placed, &target, memory_nodes, chosen, &demand);
        Some(Self {
            target,
            demand,
            trainer: placed.membership.trainer.unwrap_or(placed.process.pid),
        })
    }
}

/// The local CPUs that the cpuset allows, without isolated ones where there are others: all threads of a process that may run
/// on several isolated CPUs stay on one of them.
fn allowed_cpus(placed: &PlacedProcess, topology: &Topology, isolated: &CpuSet) -> CpuSet {
    let cpuset = placed.process.cpuset.as_ref().map(|cpuset| &cpuset.cpus);
    let is_allowed = |cpu: &Cpu| cpuset.is_none_or(|allowed| allowed.contains(*cpu));
    let local = topology.cpus_of(&placed.local_nodes);
    let allowed: CpuSet = local.iter().filter(is_allowed).collect();
    let is_shared = |cpu: &Cpu| !isolated.contains(*cpu);
    let shared: CpuSet = allowed.iter().filter(is_shared).collect();
    if shared.is_empty() { allowed } else { shared }
}

/// Those of the nodes whose memory the cpuset allows. The kernel never writes an empty list: an empty set is unknown.
fn allowed_memory(placed: &PlacedProcess, nodes: &NodeSet) -> NodeSet {
    match &placed.memory.mems_allowed {
        Some(allowed) if !allowed.is_empty() => nodes & allowed,
        _ => nodes.clone(),
    }
}

/// The nodes without CPUs that the memory policy names although the process does not belong there: HBM or CXL that was
/// chosen.
fn chosen_nodes(
    placed: &PlacedProcess,
    topology: &Topology,
    gpu_memory: &NodeSet,
    memory_nodes: &NodeSet,
) -> NodeSet {
    let Some(policy) = policy_with_nodes(placed) else {
        return NodeSet::new();
    };
    let has_no_cpus = |node: &&NodeId| {
        let node = topology.nodes().get(node);
        node.is_some_and(|node| node.cpus.as_ref().is_some_and(CpuSet::is_empty))
    };
    let named = policy.nodes.iter().filter(has_no_cpus);
    let others = named.filter(|node| !gpu_memory.contains(node) && !memory_nodes.contains(node));
    others.copied().collect()
}

/// The memory policy, if it says on which nodes pages are allocated.
fn policy_with_nodes(placed: &PlacedProcess) -> Option<&Policy> {
    let policy = &placed.memory.pages.as_ref()?.policy;
    let is_free = matches!(policy.mode, Mode::Default | Mode::Local | Mode::Other(_));
    (!is_free && !policy.nodes.is_empty()).then_some(policy)
}

/// What is in the way apart from free memory.
fn obstacles(
    placed: &PlacedProcess,
    target: &Target,
    memory_nodes: NodeSet,
    chosen: NodeSet,
    demand: &Demand,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let is_cut_off = target.cpus.is_empty() && placed.process.cpuset.is_some();
    if is_cut_off || placed.cpuset_excludes_cpus() {
        obstacles.push(Obstacle::CpusetCpus(placed.local_nodes.clone()));
    }
    if target.memory_nodes.is_empty() && !memory_nodes.is_empty() {
        obstacles.push(Obstacle::CpusetMemory(memory_nodes));
    }
    if placed.membership.gpus.len() > 1 && placed.home_nodes.len() > 1 {
        obstacles.push(Obstacle::SeveralNodes(placed.home_nodes.clone()));
    }
    if let Some(policy) = policy_with_nodes(placed) {
        if !chosen.is_empty() {
            obstacles.push(Obstacle::Chosen(policy.clone(), chosen));
        } else if !policy.nodes.is_subset(&target.memory_nodes) {
            obstacles.push(Obstacle::Policy(policy.clone()));
        }
    }
    if demand.pinned > Bytes(0) {
        obstacles.push(Obstacle::Pinned(demand.pinned));
    }
    obstacles
}
