//! GPUs, and the processes that use them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::machine::nvml_answer::MigDevice;
use crate::units::{Bytes, NodeId, NodeSet, PciAddress, Pid};

/// One GPU, as the driver and sysfs describe it.
#[derive(Debug, Clone, Default)]
pub struct Gpu {
    /// NVML's index. Without NVML: the position by PCI address. The GPUs of AMD and Intel come after NVIDIA's, by PCI
    /// address too.
    pub index: u32,
    /// `GPU-…`; `None` where no driver reported it.
    pub uuid: Option<String>,
    /// The product's name.
    pub name: Option<String>,
    /// `None` where the driver gave no address.
    pub address: Option<PciAddress>,
    /// The size of its own memory.
    pub memory_total: Option<Bytes>,
    /// The part of its own memory that is in use.
    pub memory_used: Option<Bytes>,
    /// The nodes that it is attached to, by each source that was read and knows them. Never an empty set.
    pub home_answers: BTreeMap<HomeSource, NodeSet>,
    /// The NUMA node that is its own memory (`numa_status`; Grace, POWER9): pages there are on the GPU. `None` where its
    /// memory is not a node.
    pub own_memory_node: Option<NodeId>,
    /// N of `/dev/nvidiaN`.
    pub minor: Option<u32>,
    /// Its MIG devices, by instance.
    pub mig_devices: Vec<MigDevice>,
    /// The processes with a context on it, by the driver; `None` where the driver did not answer.
    pub contexts: Option<Vec<Context>>,
    /// The processes that use it by other evidence than the driver's lists. Searched where these are empty or missing although
    /// the GPU may be in use.
    pub users: BTreeMap<Pid, Evidence>,
    /// For a GPU of AMD or Intel; `None` for one of NVIDIA.
    pub drm: Option<DrmGpu>,
}

/// What the kernel's DRM drivers (amdgpu, i915, xe) and KFD report of a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrmGpu {
    /// The names of its files in `/dev/dri`: `card0`, `renderD128`. Empty where only KFD lists it.
    pub nodes: BTreeSet<String>,
    /// Its ids in AMD's KFD: several where it is partitioned, none where KFD does not list it.
    pub kfd_ids: BTreeSet<u32>,
    /// The host memory that is mapped for it (`mem_info_gtt_used`), which a GPU without its own memory uses. `None` where the
    /// driver does not report it.
    pub host_memory_used: Option<Bytes>,
}

/// Where a GPU's home nodes are known from, in the order in which the sources are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HomeSource {
    /// `--gpu-node`.
    Override,
    /// A topology file of NCCL or hwloc.
    TopologyFile,
    /// `numa_node` of its PCI device.
    Sysfs,
    /// `numa_node` of the nearest PCI bridge above it that has one.
    PciParent,
    /// NVML's memory affinity.
    NvmlMemoryAffinity,
    /// NVML's CPU affinity.
    NvmlCpuAffinity,
    /// Only one node of the machine has CPUs.
    SingleNode,
    /// No source.
    Unknown,
}

impl fmt::Display for HomeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Override => "override",
            Self::TopologyFile => "topology-file",
            Self::Sysfs => "sysfs",
            Self::PciParent => "pci-parent",
            Self::NvmlMemoryAffinity => "nvml-memory-affinity",
            Self::NvmlCpuAffinity => "nvml-cpu-affinity",
            Self::SingleNode => "single-node",
            Self::Unknown => "unknown",
        })
    }
}

/// How it is known that a process works on a GPU where the driver's lists do not say so, the hardest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// It holds that GPU's `/dev/nvidiaN` open clearly more often than any other's.
    Files,
    /// AMD's KFD has a queue of it there or, where it has none anywhere, memory.
    Kfd,
    /// `/proc/PID/fdinfo` of the DRM files that it has open tells of time on the GPU's engines or, where it tells of
    /// none on any, of the GPU's memory.
    Drm,
    /// It holds the driver open, and its environment means that GPU (CUDA_VISIBLE_DEVICES, LOCAL_RANK): a hint.
    Environment,
}

impl Gpu {
    /// The driver's own memory is less than this: an idle GPU was seen with some MiB.
    const DRIVERS_OWN: Bytes = Bytes(128 << 20);

    /// The same for amdgpu, not measured: large GPUs are reported to show more than 256 MiB.
    const DRM_DRIVERS_OWN: Bytes = Bytes(512 << 20);

    /// The memory in use, where it is more than the driver's own; `None` also where it is unknown.
    pub fn in_use(&self) -> Option<Bytes> {
        let (host, drivers_own) = match &self.drm {
            Some(drm) => (drm.host_memory_used, Self::DRM_DRIVERS_OWN),
            None => (None, Self::DRIVERS_OWN),
        };
        self.memory_used
            .max(host)
            .filter(|used| *used > drivers_own)
    }

    /// Whether more memory is in use than the driver's own; `false` where that is unknown.
    pub fn is_in_use(&self) -> bool {
        self.in_use().is_some()
    }

    /// Whether no more memory is in use than the driver's own; `false` where that is unknown.
    pub fn is_seen_unused(&self) -> bool {
        self.memory_used.is_some() && !self.is_in_use()
    }

    /// The memory in use on a GPU for which the driver lists no process. In another PID namespace its lists are empty,
    /// without an error.
    pub fn used_without_process(&self) -> Option<Bytes> {
        let is_empty = self.contexts.as_ref().is_some_and(Vec::is_empty);
        self.in_use().filter(|_| is_empty)
    }
}

/// How many descriptors of device files of NVIDIA's driver a process has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DriverFiles {
    /// Of all these files.
    pub total: usize,
    /// `/dev/nvidiaN`, by N.
    pub by_minor: BTreeMap<u32, usize>,
}

impl DriverFiles {
    /// The minor number of the GPU that the process uses. A CUDA process opens every `/dev/nvidiaN` that it may, and the one of
    /// its context far more often: 23 times were seen, against 7 for the others (3 where it is masked). Without a context
    /// each has 3 or 7. `None` where no file is clearly open most often.
    pub fn clear_minor(&self) -> Option<u32> {
        const LEAST: usize = 10;
        let (minor, most) = self.by_minor.iter().max_by_key(|(_, count)| **count)?;
        let others = self.by_minor.iter().filter(|(other, _)| *other != minor);
        let next = others.map(|(_, count)| *count).max().unwrap_or(0);
        (*most >= LEAST && *most >= 2 * next).then_some(*minor)
    }
}

/// A process's context on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The process.
    pub pid: Pid,
    /// The MIG instance, which is attached to the same node as its GPU; `None` for a context on the whole GPU.
    pub instance: Option<Instance>,
}

/// A MIG instance of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// The GPU instance: nvidia-smi's `GI ID`.
    pub gpu: u32,
    /// The compute instance in it: nvidia-smi's `CI ID`. `None` where the driver does not report it.
    pub compute: Option<u32>,
}

impl fmt::Display for Instance {
    /// As nvidia-smi writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GI {}", self.gpu)?;
        match self.compute {
            Some(compute) => write!(f, " CI {compute}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gpu_of_a_context_is_open_most_often() {
        let files = |counts: &[usize]| DriverFiles {
            total: 3,
            by_minor: (0..).zip(counts.iter().copied()).collect(),
        };
        // Seen on four H200 with driver 580: trainers, a masked one, launchers, MPS client and server.
        assert_eq!(files(&[7, 7, 23, 7]).clear_minor(), Some(2));
        assert_eq!(files(&[3, 23]).clear_minor(), Some(1));
        assert_eq!(files(&[7, 7, 7, 7]).clear_minor(), None);
        assert_eq!(files(&[3]).clear_minor(), None);
        assert_eq!(files(&[19, 7]).clear_minor(), Some(0));
        assert_eq!(files(&[20, 20]).clear_minor(), None);
        assert_eq!(files(&[]).clear_minor(), None);
    }
}
