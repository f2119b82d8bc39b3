//! What the forms need to know of the machine besides the plan.

use crate::document::{Document, GpuEntry, PlannedRank};
use crate::plan::cpus_of;
use crate::units::{Cpu, CpuSet, NodeId};

/// The GPU of a rank.
pub(super) fn gpu_of<'a>(rank: &PlannedRank, map: &'a Document) -> Option<&'a GpuEntry> {
    let mut gpus = map.topology.gpus.iter();
    gpus.find(|gpu| gpu.index == rank.gpu)
}

/// The CPUs of a node.
pub(super) fn node_cpus(node: NodeId, map: &Document) -> CpuSet {
    cpus_of(&[node].into(), map)
}

/// Those of these CPUs that a process that is started from here may use.
pub(super) fn allowed(cpus: &CpuSet, map: &Document) -> CpuSet {
    let here = map.host.observer_cpus.as_ref();
    let is_allowed = |cpu: &Cpu| here.is_none_or(|here| here.contains(*cpu));
    cpus.iter().filter(is_allowed).collect()
}

/// The online CPUs of a CPU's core. `None` where they are unknown.
pub(super) fn core_of(cpu: Cpu, map: &Document) -> Option<&CpuSet> {
    let mut cores = map.topology.cores.iter();
    cores.find_map(|core| core.cpus.contains(cpu).then_some(&core.cpus))
}

/// Whether a rank's memory should be on this node alone.
pub(super) fn has_memory_on(rank: &PlannedRank, node: NodeId) -> bool {
    rank.memory_nodes == [node].into()
}
