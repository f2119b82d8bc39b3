//! Which mappings have huge pages (hugetlbfs), which `maps` does not say.
//!
//! Their names do not tell: a file on hugetlbfs may be called anything, and so may a memfd of huge pages. The file system that
//! they are on does, by its device. Those that are mounted are in the process's `mountinfo`. Those of the kernel's own, for
//! MAP_HUGETLB, memfd and System V memory, one for each size, are mounted nowhere: a memfd of our own, which takes no memory,
//! is on the same.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, fstat, major, memfd_create, minor};

use crate::observe::memory::mountinfo::parse_huge_mount;
use crate::observe::root::Root;
use crate::units::Pid;

/// A device's major and minor number.
pub(crate) type Device = (u32, u32);

/// The devices of the kernel's own hugetlbfs, found when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct HugeDevices {
    own: OnceLock<BTreeSet<Device>>,
}

impl HugeDevices {
    /// The devices whose files are of huge pages, as the process sees them.
    pub fn of(&self, root: &Root, pid: Pid) -> BTreeSet<Device> {
        let mut devices = self.own.get_or_init(|| kernels_own(root)).clone();
        // Where they cannot be read, files on a mounted hugetlbfs are taken for common ones; then less is found than the
        // process's own count of huge pages says, which is noticed.
        let _ = root.read_lines::<crate::machine::gap::Reason>(
            &format!("proc/{pid}/mountinfo"),
            |line| {
                devices.extend(parse_huge_mount(line));
                Ok(())
            },
        );
        devices
    }
}

fn kernels_own(root: &Root) -> BTreeSet<Device> {
    let names = root.names("sys/kernel/mm/hugepages").unwrap_or_default();
    let sizes = names.iter().filter_map(|name| {
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        kib.parse::<u64>().ok()?.checked_mul(1024)?.checked_ilog2()
    });
    sizes.filter_map(device_of).collect()
}

/// The device of a memfd of pages of this size, given as a power of two.
fn device_of(size: u32) -> Option<Device> {
    // MFD_HUGE_SHIFT in linux/memfd.h.
    const SHIFT: u32 = 26;
    let size = MemfdFlags::from_bits_retain(size.checked_shl(SHIFT)?);
    let flags = MemfdFlags::HUGETLB | MemfdFlags::CLOEXEC | size;
    let file = memfd_create("numa-audit", flags).ok()?;
    let device = fstat(file).ok()?.st_dev;
    Some((major(device), minor(device)))
}
