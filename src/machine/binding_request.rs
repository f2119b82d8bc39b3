//! What a command line or an environment asks for: that a process be bound.

use crate::units::{CpuSet, NodeSet};

/// A binding that somebody asked for. Whether it came to be is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRequest {
    /// The option or the variable, as it is typed: `--numa-bind`, `ACCELERATE_CPU_AFFINITY`.
    pub option: &'static str,
    /// What it is to be bound to.
    pub to: BindTo,
}

/// What a process is to be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindTo {
    /// To CPUs of its GPU's node, or to some that a framework deals out: which they are is the framework's business.
    GpuNode,
    /// To the CPUs of these nodes (`numactl --cpunodebind`).
    Nodes(NodeSet),
    /// To these CPUs (`numactl --physcpubind`, `taskset --cpu-list`).
    Cpus(CpuSet),
    /// To these nodes' memory (`numactl --membind`).
    Memory(NodeSet),
}
