//! Where each process should be, and what is in the way. Computed once for the whole machine, because processes share the
//! free memory of a node. Every command that a finding prints for a process comes from its target, so that no two findings
//! move one process to two places.

pub(crate) mod demand;
pub(crate) mod obstacle;
pub(crate) mod room;

pub(crate) use obstacle::Obstacle;

use crate::audit::PlacedProcess;
use crate::audit::target::demand::Demand;
use crate::audit::target::room::Rooms;
use crate::machine::{Mode, Policy, Topology};
use crate::units::{Bytes, Cpu, CpuSet, NodeSet, Pid};

/// Where one process should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// The CPUs of its local nodes that its cpuset allows. Empty where it allows none of them.
    pub(crate) cpus: CpuSet,
    /// The local memory nodes that its cpuset allows. Empty where it allows none of them, and where they are unknown.
    pub(crate) memory_nodes: NodeSet,
    /// The nodes that its pages can leave for `memory_nodes` now. Empty where no page has to move, and where none can.
    pub(crate) pages_from: NodeSet,
    /// Whether its memory can be bound to `memory_nodes` at its next start.
    pub(crate) memory_binding: MemoryBinding,
    /// What is in the way.
    pub(crate) obstacles: Vec<Obstacle>,
}

/// What a start with a memory policy for the target can do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MemoryBinding {
    /// Nothing speaks against it.
    #[default]
    Possible,
    /// The nodes have too little memory for the jobs that belong there: a strict policy ends in swap or in the OOM killer.
    TooSmall,
    /// The process has chosen a node without CPUs (HBM, CXL): another policy would undo the choice.
    Chosen,
}

/// Computes the targets of all judged processes whose local nodes are known. `gpu_memory` are the nodes that are memory of
/// GPUs. The scheduler does not spread threads over `isolated` CPUs.
pub(crate) fn set_targets(
    processes: &mut [PlacedProcess],
    topology: &Topology,
    gpu_memory: &NodeSet,
    isolated: &CpuSet,
) {
    let drafts: Vec<Option<Draft>> = processes
        .iter()
        .map(|placed| Draft::of(placed, topology, gpu_memory, isolated))
        .collect();
    let rooms = Rooms::of(&drafts, topology);
    let targets: Vec<Option<Target>> = drafts
        .into_iter()
        .map(|draft| Some(draft?.finish(&rooms)))
        .collect();
    for (placed, target) in processes.iter_mut().zip(targets) {
        placed.target = target;
    }
}

/// A target before the free memory of its nodes is known.
pub(crate) struct Draft {
    target: Target,
    demand: Demand,
    /// The process whose pages it may share.
    trainer: Pid,
}

impl Draft {
    fn of(
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

    fn finish(self, rooms: &Rooms) -> Target {
        let Self {
            mut target, demand, ..
        } = self;
        let room = rooms.room(&target.memory_nodes);
        let is_moving = demand.moving > Bytes(0);
        let is_full = is_moving && !room.can_move();
        if target.memory_binding == MemoryBinding::Possible && !room.can_bind() {
            target.memory_binding = MemoryBinding::TooSmall;
        }
        if is_full || (target.memory_binding == MemoryBinding::TooSmall && is_moving) {
            target.obstacles.push(room.obstacle(&target.memory_nodes));
        }
        let is_huge_stuck = demand.huge > Bytes(0) && !room.has_huge_pages();
        if is_huge_stuck {
            target
                .obstacles
                .push(room.huge_obstacle(&target.memory_nodes));
        }
        let can_move_huge = demand.huge > Bytes(0) && !is_huge_stuck;
        if (is_moving && !is_full) || (!is_moving && can_move_huge) {
            target.pages_from = demand.from;
        }
        target
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
    let has_no_cpus = |node: &&crate::units::NodeId| {
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
