//! The words of the program: what it says in one of a few words is an enum here, for all layers and for the document.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An enum that a document writes as words.
pub(crate) trait Vocabulary: Copy + Eq + fmt::Debug + 'static {
    /// What the words are about, as the schema's name for them.
    const NAME: &'static str;
    /// Each value with its word and what that means.
    const WORDS: &'static [(Self, &'static str, &'static str)];

    /// The value of a word.
    fn of(word: &str) -> Option<Self> {
        let entry = Self::WORDS.iter().find(|(_, own, _)| *own == word)?;
        Some(entry.0)
    }

    /// The word of a value.
    fn word(self) -> &'static str {
        let entry = Self::WORDS.iter().find(|(value, _, _)| *value == self);
        entry.map_or("", |(_, word, _)| word)
    }
}

/// A word that this version of the program knows, or one that another version wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word<T> {
    /// One of the list.
    Known(T),
    /// Any other text.
    Other(String),
}

impl<T: Vocabulary> Word<T> {
    /// The value of a word of the list.
    pub(crate) fn known(&self) -> Option<T> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Other(_) => None,
        }
    }

    /// The text of the word. Unknown words may hold any letters.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Known(value) => value.word(),
            Self::Other(text) => text,
        }
    }
}

impl<T: Vocabulary> From<T> for Word<T> {
    fn from(value: T) -> Self {
        Self::Known(value)
    }
}

impl<T: Vocabulary> From<&str> for Word<T> {
    fn from(text: &str) -> Self {
        T::of(text).map_or_else(|| Self::Other(text.to_owned()), Self::Known)
    }
}

impl<T> Default for Word<T> {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

impl<T: Vocabulary> PartialEq<T> for Word<T> {
    fn eq(&self, value: &T) -> bool {
        self.known().as_ref() == Some(value)
    }
}

/// By text, because the keys of a JSON object are sorted so.
impl<T: Vocabulary> Ord for Word<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl<T: Vocabulary> PartialOrd for Word<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Vocabulary> fmt::Display for Word<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<T: Vocabulary> Serialize for Word<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, T: Vocabulary> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(String::deserialize(deserializer)?.as_str().into())
    }
}

macro_rules! vocabulary {
    ($(#[doc = $about:literal])+ $(#[derive($derived:ident)])? $name:ident {
        $($(#[doc = $meaning:literal])+ $(#[$mark:ident])? $value:ident = $word:literal,)+
    }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord $(, $derived)?)]
        pub(crate) enum $name {
            $($(#[doc = $meaning])+ $(#[$mark])? $value,)+
        }

        impl Vocabulary for $name {
            const NAME: &'static str = stringify!($name);
            const WORDS: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$value, $word, concat!($($meaning),+)),)+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

vocabulary! {
    /// What a process does in a job.
    Role {
        /// Holds a GPU context.
        Trainer = "trainer",
        /// Works for a trainer: loads its data.
        Worker = "worker",
        /// An ancestor of trainers.
        Launcher = "launcher",
        /// Python's resource tracker or fork server, a server of GPUs, or a monitor.
        Helper = "helper",
    }
}

vocabulary! {
    /// What keeps a process or its memory from its target.
    ObstacleKind {
        /// The cpuset allows none of the CPUs, or none of the memory.
        Cpuset = "cpuset",
        /// The nodes have less free memory than would have to move there.
        FreeMemory = "free-memory",
        /// The nodes have fewer free huge pages than would have to move there.
        HugePages = "huge-pages",
        /// The memory policy names other nodes; it cannot be changed from outside.
        Policy = "policy",
        /// The memory policy chose a node without CPUs (HBM, CXL): its pages stay there.
        ChosenMemory = "chosen-memory",
        /// Pinned pages do not move.
        Pinned = "pinned",
        /// The GPUs are attached to several nodes: no place is right for all of them.
        SeveralNodes = "several-nodes",
    }
}

vocabulary! {
    /// How well something is placed. The later of two is the worse.
    Verdict {
        /// One node has all CPUs: placement cannot be wrong.
        SingleNode = "single-node",
        /// On the local nodes, and bound there.
        Ok = "ok",
        /// On the local nodes without a binding, or on a near node.
        AtRisk = "at-risk",
        /// It could not be read, or the home node is unknown.
        Unknown = "unknown",
        /// On a remote node.
        Mismatch = "mismatch",
    }
}

vocabulary! {
    /// How severe a finding is, the worst first.
    Severity {
        /// It costs throughput now.
        Error = "error",
        /// It may cost throughput.
        Warning = "warning",
        /// Good to know.
        Info = "info",
    }
}

vocabulary! {
    /// How a GPU's home nodes are known.
    HomeSource {
        /// The option --gpu-node.
        Override = "override",
        /// A topology file of NCCL or hwloc.
        TopologyFile = "topology-file",
        /// numa_node of its PCI device.
        Sysfs = "sysfs",
        /// numa_node of a PCI bridge above it.
        PciParent = "pci-parent",
        /// NVML's memory affinity.
        NvmlMemoryAffinity = "nvml-memory-affinity",
        /// NVML's CPU affinity.
        NvmlCpuAffinity = "nvml-cpu-affinity",
        /// Only one node of the machine has CPUs.
        SingleNode = "single-node",
        /// No source answered.
        Unknown = "unknown",
    }
}

vocabulary! {
    /// What a process uses memory for.
    MemoryKind {
        /// Heap, stack, arenas of malloc.
        Anonymous = "anonymous",
        /// Page-locked for the GPU. It cannot migrate.
        Pinned = "pinned",
        /// Shared with other processes: workers hand over their batches in it.
        Shared = "shared",
        /// Pages of hugetlbfs.
        Huge = "huge",
        /// CUDA's managed memory, touched by the CPU.
        Managed = "managed",
        /// Page cache and mapped files. No policy applies to it, and it is never a mismatch.
        File = "file",
    }
}

vocabulary! {
    /// The result of the comparison with the file of --expect.
    Expectation {
        /// The machine is as expected.
        Met = "met",
        /// The machine differs.
        NotMet = "not-met",
        /// Something that is expected is unknown here.
        Unknown = "unknown",
    }
}

vocabulary! {
    /// How it is known which GPU a process uses, or which trainer it works for. The strongest evidence first.
    Evidence {
        /// NVML lists the process.
        Nvml = "nvml",
        /// It has that GPU's /dev/nvidiaN open more often than any other.
        Fd = "fd",
        /// AMD's KFD lists a queue of the process on the GPU or, if it has no queue anywhere, memory.
        Kfd = "kfd",
        /// fdinfo of its DRM files shows work on that GPU.
        Drm = "drm",
        /// It descends from its trainer.
        Ancestor = "ancestor",
        /// It descends from its trainer's fork server.
        Forkserver = "forkserver",
        /// It has pipes open that only one trainer has.
        Pipe = "pipe",
        /// Only its environment says so.
        Environ = "environ",
        /// It is in its trainer's session and control groups.
        Session = "session",
        /// It shares PyTorch's shared memory with its trainer.
        Shm = "shm",
    }
}

vocabulary! {
    /// What kind of fact is missing.
    GapKind {
        /// The NVIDIA driver's whole answer.
        Driver = "driver",
        /// Which GPUs there are, or a detail of one.
        Gpu = "gpu",
        /// Which processes use a GPU.
        GpuProcesses = "gpu-processes",
        /// The node that a device is attached to.
        HomeNode = "home-node",
        /// The NUMA nodes, their CPUs and memory, and kernel settings.
        Machine = "machine",
        /// Whole processes.
        Process = "process",
        /// What a process does: its command, environment, files and trainer.
        Membership = "membership",
        /// Where a process runs and may run.
        Cpu = "cpu",
        /// Where a process's memory is.
        Memory = "memory",
        /// What a control group leaves to a process.
        Cgroup = "cgroup",
        /// What --expect asks about.
        Expectation = "expectation",
    }
}

vocabulary! {
    /// Where an observation comes from.
    #[derive(Default)]
    Origin {
        /// The running machine.
        #[default]
        Live = "live",
        /// A recording.
        Snapshot = "snapshot",
    }
}

vocabulary! {
    /// What a PCI device is for.
    PciClass {
        /// Disks and their controllers.
        Storage = "storage",
        /// Ethernet and InfiniBand.
        Network = "network",
        /// Displays that cannot compute.
        Display = "display",
        /// Accelerators other than GPUs.
        Accelerator = "accelerator",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_has_one_word() {
        fn holds<T: Vocabulary>() {
            for (value, word, meaning) in T::WORDS {
                assert_eq!(T::of(word), Some(*value));
                assert_eq!(value.word(), *word);
                assert!(meaning.ends_with('.'), "{meaning}");
            }
        }
        holds::<Role>();
        holds::<Verdict>();
        holds::<Severity>();
        holds::<Evidence>();
        holds::<HomeSource>();
        holds::<MemoryKind>();
        holds::<Expectation>();
        holds::<GapKind>();
        holds::<Origin>();
        holds::<PciClass>();
    }

    #[test]
    fn an_unknown_word_is_kept() {
        let word: Word<Role> = serde_json::from_str("\"prefetcher\"").unwrap();
        assert_eq!(word.known(), None);
        assert_eq!(serde_json::to_string(&word).unwrap(), "\"prefetcher\"");
        let word: Word<Role> = serde_json::from_str("\"worker\"").unwrap();
        assert_eq!(word, Role::Worker);
    }
}
