//! A process's memory: its policy, and its pages by node, all of them or as a sample tells.

use std::collections::{BTreeMap, BTreeSet};

use super::share::percent;
use super::topology::{NodeId, NodeSet, node_list};

/// A number of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// `kib` kibibytes; `None` beyond 64 bits.
    pub fn from_kib(kib: u64) -> Option<Self> {
        kib.checked_mul(1024).map(Self)
    }

    /// Its share of `all` in whole percents. What is not quite nothing or all does not read as if it were.
    pub fn percent_of(self, all: Self) -> String {
        percent(self.0, all.0)
    }

    /// The sum; `None` beyond 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl std::fmt::Display for Bytes {
    /// For people: `0 B`, `12 KiB`, `602 MiB`, `1.9 GiB`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1023.5 && unit + 1 < UNITS.len() {
            size /= 1024.0;
            unit += 1;
        }
        let digits = usize::from(size < 9.95 && UNITS[unit] != "KiB");
        write!(f, "{size:.digits$} {}", UNITS[unit])
    }
}

impl std::iter::Sum for Bytes {
    /// Saturates: no machine has 16 EiB, and a recorded tree may claim it.
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self(0), |sum, part| Self(sum.0.saturating_add(part.0)))
    }
}

/// Bytes by the node they lie on; nodes without any are left out.
pub type NodeBytes = BTreeMap<NodeId, Bytes>;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_do_not_round_to_nothing_or_all() {
        let percent = |part| Bytes(part).percent_of(Bytes(1000));
        assert_eq!(
            [0, 1, 500, 999, 1000].map(percent),
            ["0%", "<1%", "50%", ">99%", "100%"]
        );
    }

    #[test]
    fn sizes_read_well() {
        for (bytes, text) in [
            (0, "0 B"),
            (4096, "4 KiB"),
            (631_521_280, "602 MiB"),
            (2_040_109_466, "1.9 GiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (150_754_820_096, "140 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
