//! GPUs and the processes that hold a context on them.

use super::cpus::CpuSet;
use super::memory::Bytes;
use super::pci::PciAddress;
use super::process::Pid;
use super::topology::{NodeId, NodeSet};

/// One GPU: what the driver says of it and what sysfs says of its place.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// NVML's index. Where no driver answered: its place among the GPUs by PCI address.
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
    /// Who holds a context on it; `None` where the driver did not say.
    pub contexts: Option<Vec<Context>>,
}

/// A process's context on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// Whose it is.
    pub pid: Pid,
}
