//! Where each process should be, and what is in the way. Computed once for the whole machine, because processes share the
//! free memory of a node. Every command that a finding prints for a process comes from its target, so that no two findings
//! move one process to two places.

pub(crate) mod compute;
pub(crate) mod demand;
pub(crate) mod draft;
pub(crate) mod obstacle;
pub(crate) mod room;

pub(crate) use obstacle::Obstacle;

use crate::units::{CpuSet, NodeSet};

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
