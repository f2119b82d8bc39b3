//! The memory of a process: its policy, and its pages by node, counted or estimated from a sample.

use std::collections::{BTreeMap, BTreeSet};

use crate::units::{Bytes, NodeBytes, NodeId, NodeSet, node_list};

/// The memory of a process, from its `numa_maps` or from a sample of its pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The policy of mappings without their own policy: that of the main thread.
    pub(crate) policy: Policy,
    /// The policies of its threads, with the number of threads that have each. Empty where they were not read.
    pub(crate) thread_policies: BTreeMap<Policy, usize>,
    /// Present pages by backing. A page that several processes map counts in full in each of them, so sums over processes are
    /// meaningless. A sample has no file pages.
    pub(crate) pages: BTreeMap<Backing, NodeBytes>,
    /// Whether the pages were counted or estimated.
    pub(crate) exactness: Exactness,
    /// The PIDs in the names of PyTorch's shared memory that it maps: `/dev/shm/torch_PID_…`. Each is the creator's PID, in the
    /// creator's PID namespace.
    pub(crate) torch_makers: BTreeSet<u32>,
}

/// Whether pages were counted or estimated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Exactness {
    /// Every page was counted.
    #[default]
    Exact,
    /// The nodes of some pages were queried. They represent the others.
    Sampled(Sample),
}

/// Pages whose nodes were queried, by backing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// One stratum for each kind of mapping of the process, except files.
    pub(crate) strata: BTreeMap<Backing, Stratum>,
}

impl Sample {
    /// How many pages were queried.
    pub(crate) fn asked(&self) -> u64 {
        self.strata.values().map(|stratum| stratum.asked).sum()
    }
}

/// The mappings of one kind, and their queried pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stratum {
    /// How many pages these mappings can have.
    pub(crate) pages: u64,
    /// How many pages were queried, evenly spread over the mappings.
    pub(crate) asked: u64,
    /// How many of the queried pages were present, by node.
    pub(crate) present: BTreeMap<NodeId, u64>,
    /// The most bytes that can be present, by the counters of the process; `None` where they are unknown.
    pub(crate) at_most: Option<Bytes>,
    /// The page size.
    pub(crate) page: Bytes,
}

impl Stratum {
    /// How many of the queried pages were present.
    pub(crate) fn present(&self) -> u64 {
        self.present.values().sum()
    }
}

/// A memory policy (numa(7); `mpol_to_str` in the kernel's mm/mempolicy.c).
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Policy {
    /// The kernel's word for what it does.
    pub(crate) mode: Mode,
    /// `static`, `relative`, `balancing`, as the kernel prints them.
    pub(crate) flags: Vec<String>,
    /// Its nodes. Empty for `default` and `local`.
    pub(crate) nodes: NodeSet,
    /// The kernel's buffer of 64 bytes was full, so `nodes` may be incomplete.
    pub(crate) truncated: bool,
}

impl std::fmt::Display for Policy {
    /// As the kernel prints it: `bind=static:0-1`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.mode)?;
        if !self.flags.is_empty() {
            write!(f, "={}", self.flags.join("|"))?;
        }
        if self.truncated {
            write!(f, ":{}…", node_list(&self.nodes))
        } else if self.nodes.is_empty() {
            Ok(())
        } else {
            write!(f, ":{}", node_list(&self.nodes))
        }
    }
}

/// The mode of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mode {
    /// No policy: a page is allocated on the node of the CPU that first touches it.
    #[default]
    Default,
    /// The same as an explicit policy.
    Local,
    /// Only these nodes.
    Bind,
    /// This node; other nodes when it is full.
    Prefer,
    /// These nodes; other nodes when they are full.
    PreferMany,
    /// Pages in turn on these nodes.
    Interleave,
    /// The same with weights (Linux 6.9 and later).
    WeightedInterleave,
    /// A word of a newer kernel that this program does not know.
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

/// What backs a mapping. Which memory kind that is depends on the process too; the audit decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Backing {
    /// Heap, stack and arenas of malloc: no file.
    Anonymous,
    /// A shared anonymous mapping, which the kernel shows as `/dev/zero (deleted)`. Pinned host memory of the driver
    /// (cudaHostAlloc) is one.
    SharedAnonymous,
    /// `/dev/nvidiactl` and `/dev/nvidiaN`: pinned buffers of the driver.
    DriverBuffer,
    /// `/dev/nvidia-uvm`: managed memory (cudaMallocManaged).
    UnifiedMemory,
    /// `/dev/shm`, memfd and System V shared memory.
    Shared,
    /// Pages of hugetlbfs, with any name.
    Huge,
    /// Any other file, with its private copies of pages.
    File,
}
