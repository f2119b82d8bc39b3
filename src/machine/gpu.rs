//! GPUs, and the processes that use them.

use crate::words::{Evidence, HomeSource};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::machine::MigDevice;
use crate::units::{Bytes, NodeId, NodeSet, PciAddress, Pid};

/// One GPU, as the driver and sysfs describe it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gpu {
    /// NVML's index. Without NVML: the position by PCI address. The GPUs of AMD and Intel come after NVIDIA's, by PCI
    /// address too.
    pub(crate) index: u32,
    /// `GPU-…`; `None` where no driver reported it.
    pub(crate) uuid: Option<String>,
    /// The product's name.
    pub(crate) name: Option<String>,
    /// `None` where the driver gave no address.
    pub(crate) address: Option<PciAddress>,
    /// The size of its own memory.
    pub(crate) memory_total: Option<Bytes>,
    /// The part of its own memory that is in use.
    pub(crate) memory_used: Option<Bytes>,
    /// The nodes that it is attached to, by each source that was read and knows them. Never an empty set.
    pub(crate) home_answers: BTreeMap<HomeSource, NodeSet>,
    /// The NUMA node that is its own memory (`numa_status`; Grace, POWER9): pages there are on the GPU. `None` where its
    /// memory is not a node.
    pub(crate) own_memory_node: Option<NodeId>,
    /// N of `/dev/nvidiaN`.
    pub(crate) minor: Option<u32>,
    /// Its MIG devices, by instance.
    pub(crate) mig_devices: Vec<MigDevice>,
    /// The processes with a context on it, by the driver; `None` where the driver did not answer.
    pub(crate) contexts: Option<Vec<Context>>,
    /// The processes that use it by other evidence than the driver's lists. Searched where these are empty or missing although
    /// the GPU may be in use.
    pub(crate) users: BTreeMap<Pid, Evidence>,
    /// The entries of the driver's lists whose PID belongs to another process here: they are from another PID namespace.
    pub(crate) foreign: Vec<Context>,
    /// Whether the driver's kernel module has this GPU and NVML's answer does not.
    pub(crate) is_left_out: bool,
    /// The partitions that processes use, of a partitioned GPU, as far as KFD lists them.
    pub(crate) partition_users: BTreeMap<Pid, BTreeSet<Partition>>,
    /// For a GPU of AMD or Intel; `None` for one of NVIDIA.
    pub(crate) drm: Option<DrmGpu>,
}

/// What the kernel's DRM drivers (amdgpu, i915, xe) and KFD report of a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DrmGpu {
    /// The names of its files in `/dev/dri`: `card0`, `renderD128`. Empty where only KFD lists it.
    pub(crate) nodes: BTreeSet<String>,
    /// Its ids in AMD's KFD: several where it is partitioned, none where KFD does not list it.
    pub(crate) kfd_ids: BTreeSet<u32>,
    /// Its partitions (modes such as CPX and DPX). Empty where it is one whole.
    pub(crate) partitions: BTreeSet<Partition>,
    /// The driver's words for how it is partitioned, such as `CPX` and `NPS4`: `current_compute_partition` and
    /// `current_memory_partition`. `None` where the driver does not report it.
    pub(crate) modes: [Option<String>; 2],
    /// The host memory that is mapped for it (`mem_info_gtt_used`), which a GPU without its own memory uses. `None` where the
    /// driver does not report it.
    pub(crate) host_memory_used: Option<Bytes>,
}

impl Gpu {
    /// The driver's own memory is less than this: an idle GPU was seen with some MiB.
    const DRIVERS_OWN: Bytes = Bytes(128 << 20);

    /// The same for amdgpu, not measured: large GPUs are reported to show more than 256 MiB.
    const DRM_DRIVERS_OWN: Bytes = Bytes(512 << 20);

    /// How it is known that this process uses it; `None` where nothing says so.
    pub(crate) fn used_by(&self, pid: Pid) -> Option<Evidence> {
        let mut contexts = self.contexts.iter().flatten();
        if contexts.any(|context| context.pid == pid) {
            Some(Evidence::Nvml)
        } else {
            self.users.get(&pid).copied()
        }
    }

    /// The memory in use, where it is more than the driver's own; `None` also where it is unknown.
    pub(crate) fn in_use(&self) -> Option<Bytes> {
        let (host, drivers_own) = match &self.drm {
            Some(drm) => (drm.host_memory_used, Self::DRM_DRIVERS_OWN),
            None => (None, Self::DRIVERS_OWN),
        };
        self.memory_used
            .max(host)
            .filter(|used| *used > drivers_own)
    }

    /// Whether more memory is in use than the driver's own; `false` where that is unknown.
    pub(crate) fn is_in_use(&self) -> bool {
        self.in_use().is_some()
    }

    /// Whether no more memory is in use than the driver's own; `false` where that is unknown.
    pub(crate) fn is_seen_unused(&self) -> bool {
        self.memory_used.is_some() && !self.is_in_use()
    }

    /// Whether the driver lists no process that is visible here. In another PID namespace its lists are empty, without an
    /// error.
    pub(crate) fn has_empty_list(&self) -> bool {
        self.contexts.as_ref().is_some_and(Vec::is_empty)
    }

    /// The memory in use on a GPU for which the driver lists no process.
    pub(crate) fn used_without_process(&self) -> Option<Bytes> {
        self.in_use().filter(|_| self.has_empty_list())
    }

    /// Whether the driver neither lists a process nor reports how much memory is in use. Then it is unknown whether the GPU
    /// is used: so on unified memory in a container.
    pub(crate) fn is_use_unknown(&self) -> bool {
        self.drm.is_none() && self.has_empty_list() && self.memory_used.is_none()
    }
}

/// A process's context on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    /// The process.
    pub(crate) pid: Pid,
    /// The MIG instance, which is attached to the same node as its GPU; `None` for a context on the whole GPU.
    pub(crate) instance: Option<Instance>,
    /// The GPU's memory that it has; `None` where the driver does not report it.
    pub(crate) memory: Option<Bytes>,
}

/// A partition of a GPU of AMD. Processes see it as a GPU of its own; it is attached to the same node as the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Partition {
    /// Its number in its GPU, from 0 on.
    pub(crate) number: u32,
    /// KFD's id for it.
    pub(crate) kfd_id: u32,
    /// N of its `/dev/dri/renderDN`; `None` where KFD does not report it.
    pub(crate) render_minor: Option<u32>,
}

/// A MIG instance of a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    /// The GPU instance: nvidia-smi's `GI ID`.
    pub(crate) gpu: u32,
    /// The compute instance in it: nvidia-smi's `CI ID`. `None` where the driver does not report it.
    pub(crate) compute: Option<u32>,
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
