//! PCI devices.

use crate::units::{NodeId, PciAddress};
use crate::words::PciClass;

/// A PCI device that matters for placement besides the GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciDevice {
    /// Its address.
    pub address: PciAddress,
    /// Its class.
    pub class: PciClass,
    /// The kernel's names for it (`eth0`, `mlx5_0`, `nvme0`).
    pub names: Vec<String>,
    /// Its `numa_node`; `None` for -1, and where the file does not exist.
    pub node: Option<NodeId>,
}
