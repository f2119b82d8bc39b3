//! An audit as far as its JSON document tells, to hold one against another.
//!
//! Roles, verdicts, rules and severities are the words that stand there: a later version of this program may have more
//! of them.

use std::collections::BTreeMap;

use crate::machine::Host;
use crate::machine::kernel_settings::KernelSettings;
use crate::machine::topology::PciNodes;
use crate::units::{Bytes, CpuSet, NodeId, NodeSet, PciAddress, Pid};

/// One machine, judged, as its document tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outline {
    /// The machine's name, kernel and driver.
    pub host: Host,
    /// The kernel's settings. Documents of earlier versions do not tell them.
    pub settings: KernelSettings,
    /// Its NUMA nodes.
    pub nodes: BTreeMap<NodeId, NodeOutline>,
    /// Its GPUs, in the document's order.
    pub gpus: Vec<GpuOutline>,
    /// Its processes, in the document's order; `None` for a document of the machine alone.
    pub processes: Option<Vec<ProcessOutline>>,
    /// What was wrong.
    pub findings: Vec<FindingOutline>,
    /// The sum; `None` for a document of the machine alone.
    pub summary: Option<SummaryOutline>,
}

/// A NUMA node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeOutline {
    /// Its CPUs; `None` where they were not known.
    pub cpus: Option<CpuSet>,
    /// Its memory; `None` where that was not known.
    pub memory_total: Option<Bytes>,
    /// Distance to each node. Empty where they were not known.
    pub distances: BTreeMap<NodeId, u32>,
}

/// A GPU.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GpuOutline {
    /// Its index there.
    pub index: u32,
    /// Its UUID.
    pub uuid: Option<String>,
    /// The product's name.
    pub name: Option<String>,
    /// Where it sits.
    pub address: Option<PciAddress>,
    /// The nodes that it is attached to. Empty where that was not known.
    pub home_nodes: NodeSet,
}

/// A process. Text in it is what its owner, or the document's writer, chose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProcessOutline {
    /// Its number.
    pub pid: Pid,
    /// When it started, in clock ticks after boot: with the PID its identity. `None` where the document does not tell.
    pub start_time_ticks: Option<u64>,
    /// The main thread's name.
    pub name: String,
    /// `trainer`, `worker`, `launcher`, `helper`; `None` for a process that has to do with no GPU.
    pub role: Option<String>,
    /// The GPUs that it works for, by index.
    pub gpus: Vec<u32>,
    /// The trainer that it works for; its own PID for a trainer.
    pub trainer: Option<Pid>,
    /// Its rank in the whole job.
    pub rank: Option<u32>,
    /// Its rank on this machine.
    pub local_rank: Option<u32>,
    /// The home nodes of its GPUs. Empty where these were not known.
    pub home_nodes: NodeSet,
    /// Where its threads were.
    pub cpu: CpuOutline,
    /// Where its memory was.
    pub memory: MemoryOutline,
    /// `None` for one that is not judged.
    pub verdict: Option<String>,
}

/// A process's CPU side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpuOutline {
    /// The node on which it spent most CPU time, where somebody looked for a while; else where the main thread last ran.
    pub node: Option<NodeId>,
    /// The CPUs on which it might run; `None` where they were not known.
    pub affinity: Option<CpuSet>,
    /// The nodes of these.
    pub affinity_nodes: NodeSet,
    /// Whether that held it on its local nodes; `None` where that was not known.
    pub bound: Option<bool>,
    /// How many threads ran off the local nodes.
    pub astray: Option<usize>,
    /// `None` for a process that is not judged.
    pub verdict: Option<String>,
}

/// A process's memory side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryOutline {
    /// The node with most of the working memory.
    pub node: Option<NodeId>,
    /// The policy's mode, by the kernel's word.
    pub policy: Option<String>,
    /// The policy's nodes; `None` where they were not known.
    pub policy_nodes: Option<NodeSet>,
    /// The nodes that the cpuset left it.
    pub mems_allowed: Option<NodeSet>,
    /// How much of it was local.
    pub local: LocalShare,
    /// `None` for a process that is not judged.
    pub verdict: Option<String>,
}

/// How much of a memory was local.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LocalShare {
    /// From 0 to 1; `None` where that was not known, and where there was no memory.
    pub fraction: Option<f64>,
    /// Whether it was estimated and not counted.
    pub is_estimate: bool,
    /// How far the estimate may be off on either side, from 0 to 1. `None` where the document does not tell.
    pub error: Option<f64>,
}

/// A finding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FindingOutline {
    /// The rule's public name.
    pub rule: String,
    /// `error`, `warning`, `info`.
    pub severity: String,
    /// The GPUs that it was about, by index.
    pub gpus: Vec<u32>,
    /// Who broke it.
    pub pids: Vec<Pid>,
    /// One sentence.
    pub message: String,
}

/// The sum.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SummaryOutline {
    /// The worst of all.
    pub verdict: String,
    /// The judged processes.
    pub processes: usize,
    /// Of these: placed well.
    pub ok: usize,
    /// Placed well for then, or near.
    pub at_risk: usize,
    /// Placed wrong.
    pub mismatch: usize,
    /// Not to be judged.
    pub unknown: usize,
    /// Whether all could be seen and judged. `None` where the document does not tell.
    pub is_complete: Option<bool>,
    /// How much of their working memory was local.
    pub local: LocalShare,
}

/// What a machine must equal.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// Another audit, or another machine's topology alone.
    Audit(Box<Outline>),
    /// What a topology file says of the nodes near each PCI device.
    Places(PciNodes),
}
