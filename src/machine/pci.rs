//! PCI devices.

use crate::units::{NodeId, PciAddress};
use std::fmt;

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

/// The classes of the PCI devices that are shown, by the first byte of the class code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PciClass {
    /// 01: disks and their controllers.
    Storage,
    /// 02: Ethernet, InfiniBand.
    Network,
    /// 03: VGA and 3D controllers. GPUs that can compute are not shown as devices.
    Display,
    /// 12: processing accelerators.
    Accelerator,
}

impl fmt::Display for PciClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Storage => "storage",
            Self::Network => "network",
            Self::Display => "display",
            Self::Accelerator => "accelerator",
        })
    }
}
