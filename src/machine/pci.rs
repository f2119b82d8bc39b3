//! PCI devices.

use crate::units::{NodeId, PciAddress, Pid};
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
    /// PCI's number of its vendor; `None` where it could not be read.
    pub(crate) vendor: Option<u32>,
    /// The vendor's number of the device; `None` where it could not be read.
    pub(crate) device: Option<u32>,
    /// The kernel driver that is bound to it. `None` where there is none, and where a recording does not have the link.
    pub(crate) driver: Option<String>,
    /// Whether it may compute: an accelerator, or a GPU without a display. Which processes use it is unknown, unless
    /// it is one of the GPUs.
    pub(crate) may_compute: bool,
}

/// PCI's number of NVIDIA.
const NVIDIA: u32 = 0x10de;

impl PciDevice {
    /// Whether it is a GPU of NVIDIA that this machine's own drivers may have. Among the devices it is one that no driver lists
    /// here: a container may be given some of the GPUs only.
    pub(crate) fn is_nvidia_gpu(&self) -> bool {
        self.class == PciClass::Display && self.vendor == Some(NVIDIA) && !self.is_given_away()
    }

    /// Whether it was given to a virtual machine: this machine's own drivers do not have it.
    pub(crate) fn is_given_away(&self) -> bool {
        self.driver.as_deref() == Some("vfio-pci")
    }

    /// The vendor's name, as far as it is known here.
    pub(crate) fn vendor_name(&self) -> Option<&'static str> {
        Some(match self.vendor? {
            0x1002 => "AMD",
            NVIDIA => "NVIDIA",
            0x10ee => "Xilinx",
            0x17cb => "Qualcomm",
            0x19e5 => "Huawei",
            0x1ae0 => "Google",
            0x1d0f => "Amazon",
            0x1d94 => "Hygon",
            0x1d95 => "Graphcore",
            0x1da3 => "Habana Labs",
            0x1e52 => "Tenstorrent",
            0x1ed5 => "Moore Threads",
            0x8086 => "Intel",
            0xcabc => "Cambricon",
            _ => return None,
        })
    }
}

/// A process that has a file of an accelerator open, or of a device that was given to a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DeviceUser {
    /// The process.
    pub(crate) pid: Pid,
    /// Its main thread's name.
    pub(crate) name: String,
    /// The files, without repeats: `/dev/davinci0`, `/dev/accel/accel0`, `/dev/vfio/12`.
    pub(crate) files: Vec<String>,
}
