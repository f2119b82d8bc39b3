//! PCI addresses and devices.

use crate::units::{NodeId, PciAddress};
use std::fmt;

/// A PCI device that matters for placement besides the GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PciDevice {
    /// Where it sits.
    pub address: PciAddress,
    /// What it is.
    pub class: PciClass,
    /// The names under which the kernel knows it (`eth0`, `mlx5_0`, `nvme0`); empty where none.
    pub names: Vec<String>,
    /// Its `numa_node`; `None` for -1 and for no such file.
    pub node: Option<NodeId>,
}

/// The kinds of PCI devices that are shown, by the class code's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PciClass {
    /// 01: disks and their controllers.
    Storage,
    /// 02: Ethernet, InfiniBand.
    Network,
    /// 03: displays that are no GPU which can be computed on, such as a board's own VGA.
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
