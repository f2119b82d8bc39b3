//! Which mappings have huge pages (hugetlbfs). `maps` does not say it.
//!
//! Names do not say it either: a file on hugetlbfs can have any name, and so can a memfd of huge pages. But the device of the
//! file system does. The devices of mounted file systems are in the process's `mountinfo`. For MAP_HUGETLB, memfd and System V
//! memory the kernel has its own file systems, one for each page size, which are not mounted. A memfd of our own, which takes
//! no memory, is on the same file system.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, fstat, major, memfd_create, minor};

use crate::observe::memory::{Device, read_huge_mounts};
use crate::observe::root::Root;
use crate::units::Pid;

/// The devices of the kernel's own hugetlbfs file systems, found when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct HugeDevices {
    kernel: OnceLock<BTreeSet<Device>>,
}

impl HugeDevices {
    /// All devices with files of huge pages that a process can map.
    pub(crate) fn of(&self, root: &Root, pid: Pid) -> BTreeSet<Device> {
        let mut devices = self.kernel.get_or_init(|| kernel_devices(root)).clone();
        devices.extend(read_huge_mounts(root, pid));
        devices
    }
}

fn kernel_devices(root: &Root) -> BTreeSet<Device> {
    let names = root.names("sys/kernel/mm/hugepages").unwrap_or_default();
    let sizes = names.iter().filter_map(|name| {
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        kib.parse::<u64>().ok()?.checked_mul(1024)?.checked_ilog2()
    });
    sizes.filter_map(memfd_device).collect()
}

/// The device of a memfd with pages of this size, a power of two.
fn memfd_device(size: u32) -> Option<Device> {
    // MFD_HUGE_SHIFT in linux/memfd.h.
    const SHIFT: u32 = 26;
    let size = MemfdFlags::from_bits_retain(size.checked_shl(SHIFT)?);
    let flags = MemfdFlags::HUGETLB | MemfdFlags::CLOEXEC | size;
    let file = memfd_create("numa-audit", flags).ok()?;
    let device = fstat(file).ok()?.st_dev;
    Some((major(device), minor(device)))
}
