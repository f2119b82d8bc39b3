//! A process's memory: its policy, and its pages by node, all of them or as a sample tells.

use crate::units::{Bytes, NodeBytes, NodeId, NodeSet, node_list};
use std::collections::{BTreeMap, BTreeSet};

/// A process's memory, as its `numa_maps` has it or as a sample of its pages tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The policy of mappings without one of their own: that of the main thread.
    pub policy: Policy,
    /// The policies of its threads, and how many of those that were asked have each. Empty where nobody asked.
    pub thread_policies: BTreeMap<Policy, usize>,
    /// Present pages by what backs them. A page that several processes map is counted in full in
    /// each of them, so these never add up over processes. A sample knows nothing of files: there are none here then.
    pub pages: BTreeMap<Backing, NodeBytes>,
    /// Whether every page was counted.
    pub exactness: Exactness,
    /// The numbers in the names of PyTorch's shared memory that it maps: `/dev/shm/torch_PID_…`. Each is the PID of
    /// the process that made it, in that one's own PID namespace.
    pub torch_makers: BTreeSet<u32>,
}

/// Whether every page was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Exactness {
    /// Every one.
    #[default]
    Exact,
    /// Some were asked, and stand for the others.
    Sampled(Sample),
}

/// Pages that were asked for their nodes, by what backs them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// One for each kind of mapping that the process has, but files.
    pub strata: BTreeMap<Backing, Stratum>,
}

impl Sample {
    /// How many pages were asked.
    pub fn asked(&self) -> u64 {
        self.strata.values().map(|stratum| stratum.asked).sum()
    }
}

/// The mappings of one kind, and the pages of them that were asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stratum {
    /// How many pages these mappings have room for.
    pub pages: u64,
    /// How many were asked, evenly spread over them.
    pub asked: u64,
    /// How many of those were there, by their nodes.
    pub present: BTreeMap<NodeId, u64>,
    /// What there can be at most, by the process's own counters; `None` where these do not tell.
    pub at_most: Option<Bytes>,
    /// The size of a page.
    pub page: Bytes,
}

/// A memory policy (mempolicy(7) of numa(7), `mpol_to_str` in the kernel's mm/mempolicy.c).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Policy {
    /// Its mode.
    pub mode: Mode,
    /// `static`, `relative`, `balancing`, as printed.
    pub flags: Vec<String>,
    /// Its nodes; empty for `default` and `local`, which have none.
    pub nodes: NodeSet,
    /// The kernel's buffer of 64 bytes was full: `nodes` may lack some.
    pub truncated: bool,
}

impl std::fmt::Display for Policy {
    /// As the kernel prints it: `bind=static:0-1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.mode)?;
        if !self.flags.is_empty() {
            write!(f, "={}", self.flags.join("|"))?;
        }
        match (self.nodes.is_empty(), self.truncated) {
            (true, false) => Ok(()),
            (_, true) => write!(f, ":{}…", node_list(&self.nodes)),
            (false, false) => write!(f, ":{}", node_list(&self.nodes)),
        }
    }
}

/// A policy's mode, by the words that the kernel prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// No policy: the node of the CPU that touches a page first.
    #[default]
    Default,
    /// The same, set explicitly.
    Local,
    /// Only these nodes.
    Bind,
    /// This node, others when it is full.
    Prefer,
    /// These nodes, others when they are full.
    PreferMany,
    /// Page by page over these nodes.
    Interleave,
    /// The same by weights (Linux 6.9 and later).
    WeightedInterleave,
    /// A word that this program does not know, from a newer kernel.
    Other(String),
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Local => "local",
            Self::Bind => "bind",
            Self::Prefer => "prefer",
            Self::PreferMany => "prefer (many)",
            Self::Interleave => "interleave",
            Self::WeightedInterleave => "weighted interleave",
            Self::Other(word) => word,
        })
    }
}

/// What backs a mapping, as far as `numa_maps` tells. What it means for the GPU depends on the
/// process as well, which the audit decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backing {
    /// Heap, stack, malloc's arenas: no file.
    Anonymous,
    /// A shared anonymous mapping, which shows as `/dev/zero (deleted)`. The driver's pinned host
    /// memory (cudaHostAlloc) is one.
    SharedAnonymous,
    /// `/dev/nvidiactl` and `/dev/nvidiaN`: buffers of the driver, pinned.
    DriverBuffer,
    /// `/dev/nvidia-uvm`: managed memory (cudaMallocManaged).
    UnifiedMemory,
    /// `/dev/shm`, memfd and System V shared memory.
    Shared,
    /// hugetlbfs pages, whatever their name.
    Huge,
    /// Any other file, its private copies of pages included.
    File,
}
