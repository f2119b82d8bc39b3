//! Bindings that a command line or an environment requests.

use crate::units::{CpuSet, NodeSet};

/// A requested binding. Whether it took effect is not known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BindingRequest {
    /// The option or the variable, as it is typed: `--numa-bind`, `ACCELERATE_CPU_AFFINITY`.
    pub(crate) option: &'static str,
    /// What to bind the process to.
    pub(crate) to: BindTo,
}

/// What to bind a process to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BindTo {
    /// CPUs of its GPU's node, all or a share of them.
    GpuNode,
    /// All CPUs of the socket of its GPU's node.
    GpuSocket,
    /// The CPUs of one of these nodes, which the user has chosen for each rank.
    OneOfNodes(NodeSet),
    /// A share of these CPUs, or of all if none are named, in the order of ranks: wherever the GPUs are.
    ShareByRank(Option<CpuSet>),
    /// The CPUs of these nodes (`numactl --cpunodebind`).
    Nodes(NodeSet),
    /// These CPUs (`numactl --physcpubind`, `taskset --cpu-list`).
    Cpus(CpuSet),
    /// The memory of these nodes (`numactl --membind`).
    Memory(NodeSet),
}
