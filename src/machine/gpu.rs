//! GPUs and the processes that hold a context on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::machine::evidence::Evidence;
use crate::machine::nvml_answer::MigDevice;
use crate::units::{Bytes, CpuSet, NodeId, NodeSet, PciAddress, Pid};

/// One GPU: what the driver says of it and what sysfs says of its place.
#[derive(Debug, Clone, Default)]
pub struct Gpu {
    /// NVML's index. Where no driver answered: its place among the GPUs by PCI address. Those of AMD and Intel come
    /// after NVIDIA's, by PCI address too.
    pub index: u32,
    /// `GPU-…`; `None` where no driver answered.
    pub uuid: Option<String>,
    /// The product's name.
    pub name: Option<String>,
    /// Where it sits; `None` where the driver gave no address.
    pub address: Option<PciAddress>,
    /// Its own memory, all of it.
    pub memory_total: Option<Bytes>,
    /// Its own memory in use.
    pub memory_used: Option<Bytes>,
    /// `numa_node` of its PCI device. `None` for -1 (the kernel does not know) and for no such file.
    pub sysfs_node: Option<NodeId>,
    /// The node of the nearest PCI bridge above it that has one.
    pub parent_node: Option<NodeId>,
    /// The nodes that NVML calls near; `None` where it names none.
    pub memory_affinity: Option<NodeSet>,
    /// The CPUs that NVML calls near; `None` where it names none.
    pub cpu_affinity: Option<CpuSet>,
    /// The node that its own memory is (`numa_status`; Grace, POWER9): pages there are on the GPU.
    /// `None` where its memory is no node.
    pub own_memory_node: Option<NodeId>,
    /// N of `/dev/nvidiaN`; `None` where nobody tells it.
    pub minor: Option<u32>,
    /// Its MIG devices, by instance.
    pub mig_devices: Vec<MigDevice>,
    /// Who holds a context on it; `None` where the driver did not say.
    pub contexts: Option<Vec<Context>>,
    /// The processes that use it by other evidence than NVML's lists. They are searched where NVML lists no process and the
    /// GPU may be in use.
    pub users: BTreeMap<Pid, Evidence>,
    /// What tells of it where it is AMD's or Intel's; `None` for one of NVIDIA's.
    pub drm: Option<DrmGpu>,
}

/// A GPU that the kernel's DRM drivers (amdgpu, i915, xe) tell of, by files alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrmGpu {
    /// Its files in `/dev/dri`, by name: `card0`, `renderD128`. Empty where KFD alone has it.
    pub nodes: BTreeSet<String>,
    /// The numbers that AMD's KFD has for it: several where it is partitioned, none where KFD does not know it.
    pub kfd_ids: BTreeSet<u32>,
    /// The host's memory that is mapped for it (`mem_info_gtt_used`): one that has no memory of its own works there.
    /// `None` where its driver does not tell.
    pub host_memory_used: Option<Bytes>,
}

impl Gpu {
    /// In use below this is the driver's own memory: an idle GPU was seen with some MiB.
    const DRIVERS_OWN: Bytes = Bytes(128 << 20);

    /// The same of amdgpu, of which nothing was seen: large GPUs are said to show more than 256 MiB.
    const DRM_DRIVERS_OWN: Bytes = Bytes(512 << 20);

    /// How it is known that this process uses it; `None` where nothing says so.
    pub fn used_by(&self, pid: Pid) -> Option<Evidence> {
        let mut contexts = self.contexts.iter().flatten();
        if contexts.any(|context| context.pid == pid) {
            Some(Evidence::Nvml)
        } else {
            self.users.get(&pid).copied()
        }
    }

    /// The memory in use on it, if it is more than the driver's own; `None` too where that is not known.
    pub fn in_use(&self) -> Option<Bytes> {
        let (host, drivers_own) = match &self.drm {
            Some(drm) => (drm.host_memory_used, Self::DRM_DRIVERS_OWN),
            None => (None, Self::DRIVERS_OWN),
        };
        self.memory_used
            .max(host)
            .filter(|used| *used > drivers_own)
    }

    /// Whether more of its memory is in use than the driver's own; `false` where that is not known.
    pub fn is_in_use(&self) -> bool {
        self.in_use().is_some()
    }

    /// Whether it is known that no more of its memory is in use than the driver's own.
    pub fn is_seen_unused(&self) -> bool {
        self.memory_used.is_some() && !self.is_in_use()
    }

    /// The memory in use on a GPU on which the driver sees nobody. In another PID namespace its lists are empty
    /// without a word.
    pub fn used_by_nobody(&self) -> Option<Bytes> {
        let nobody = self.contexts.as_ref().is_some_and(Vec::is_empty);
        self.in_use().filter(|_| nobody)
    }
}

/// A process's context on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Whose it is.
    pub pid: Pid,
    /// On which MIG instance; `None` for one on the whole GPU. It hangs where the GPU does.
    pub instance: Option<Instance>,
}

/// A MIG instance of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// The GPU instance: nvidia-smi's `GI ID`.
    pub gpu: u32,
    /// The compute instance in it: nvidia-smi's `CI ID`. `None` where the driver does not tell.
    pub compute: Option<u32>,
}

impl fmt::Display for Instance {
    /// In nvidia-smi's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GI {}", self.gpu)?;
        match self.compute {
            Some(compute) => write!(f, " CI {compute}"),
            None => Ok(()),
        }
    }
}
