//! PCI devices.

use crate::units::{NodeId, PciAddress};
use crate::words::PciClass;

/// A PCI device that matters for placement besides the GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PciDevice {
    /// Its address.
    pub(crate) address: PciAddress,
    /// Its class.
    pub(crate) class: PciClass,
    /// The kernel's names for it (`eth0`, `mlx5_0`, `nvme0`).
    pub(crate) names: Vec<String>,
    /// Its `numa_node`; `None` for -1, and where the file does not exist.
    pub(crate) node: Option<NodeId>,
    /// Whether it is a GPU of NVIDIA that no driver lists here: a container may be given some of the GPUs only.
    pub(crate) is_nvidia_gpu: bool,
}
