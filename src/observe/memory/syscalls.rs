//! The two system calls for which no library has a safe function. All unsafe code is here.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::ioctl::opcode;

use crate::units::Pid;

/// Queries the nodes of another process's pages with move_pages(2), which moves nothing here. `nodes` gets one answer for each
/// address: a node, or a negative error number.
///
/// The kernel takes the process's mmap lock for 16 pages at a time (do_pages_stat in mm/migrate.c).
pub(crate) fn page_nodes(pid: Pid, addresses: &[usize], nodes: &mut Vec<c_int>) -> io::Result<()> {
    // 0 would be the caller itself.
    let pid = match libc::pid_t::try_from(pid.0) {
        Ok(pid) if pid > 0 => pid,
        _ => return Err(io::Error::from_raw_os_error(libc::ESRCH)),
    };
    nodes.clear();
    nodes.resize(addresses.len(), -libc::ENOENT);
    let pages: *const usize = addresses.as_ptr();
    let no_nodes: *const c_int = std::ptr::null();
    // SAFETY: both arrays have the length that is passed and outlive the call. The addresses are numbers in the other process,
    // which the kernel checks and this process never dereferences. Without target nodes the kernel only writes to `nodes`.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            pid,
            addresses.len(),
            pages,
            no_nodes,
            nodes.as_mut_ptr(),
            0,
        )
    };
    match answer {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A range of addresses that PAGEMAP_SCAN reports (struct page_region in linux/fs.h).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Region {
    pub(crate) start: u64,
    /// The first address after it.
    pub(crate) end: u64,
    categories: u64,
}

/// struct pm_scan_arg in linux/fs.h.
#[repr(C)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_PFNZERO: u64 = 1 << 5;

/// Finds the present pages between two addresses of the process of this `pagemap`, without zero pages (PAGEMAP_SCAN, Linux 6.7).
/// Returns how many of `regions` were filled, and the address up to which it searched: before `end` where `regions` is full.
pub(crate) fn present_regions(
    pagemap: &File,
    start: u64,
    end: u64,
    regions: &mut [Region],
) -> io::Result<(usize, u64)> {
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        flags: 0,
        start,
        end,
        walk_end: start,
        regions: regions.as_mut_ptr() as u64,
        regions_len: regions.len() as u64,
        max_pages: 0,
        category_inverted: PAGE_IS_PFNZERO,
        category_mask: PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
        category_anyof_mask: 0,
        return_mask: PAGE_IS_PRESENT,
    };
    let request = opcode::read_write::<Scan>(b'f', 16);
    // SAFETY: `scan` has the layout of this request and states its size. The kernel writes `walk_end` and at most `regions_len`
    // elements of `regions`, which outlives the call. Because `flags` is 0 it writes nothing else.
    let answer = unsafe { libc::ioctl(pagemap.as_raw_fd(), request as _, &raw mut scan) };
    match usize::try_from(answer) {
        Ok(filled) => Ok((filled.min(regions.len()), scan.walk_end)),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_is_one_of(error: &io::Error, numbers: &[c_int]) {
        let number = error.raw_os_error();
        assert!(
            number.is_some_and(|number| numbers.contains(&number)),
            "{error}"
        );
    }

    #[test]
    fn present_pages_have_nodes_and_absent_pages_have_none() {
        let page = vec![1u8; 1 << 16];
        let mut nodes = Vec::new();
        let addresses = [page.as_ptr() as usize + (1 << 15), 4096];
        match page_nodes(Pid(std::process::id()), &addresses, &mut nodes) {
            Ok(()) => assert!(nodes[0] >= 0 && nodes[1] < 0, "{nodes:?}"),
            // In a container that forbids the call, and under qemu-user, which lacks it.
            Err(error) => assert_is_one_of(&error, &[libc::EPERM, libc::ENOSYS]),
        }
        assert!(page_nodes(Pid(0), &addresses, &mut nodes).is_err());
    }

    #[test]
    fn present_pages_are_found() {
        let page = rustix::param::page_size();
        let memory = vec![1u8; 64 * page];
        let start = (memory.as_ptr() as usize).next_multiple_of(page) as u64;
        let end = start + 32 * page as u64;
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let mut regions = [Region::default(); 8];
        match present_regions(&pagemap, start, end, &mut regions) {
            Ok((filled, up_to)) => {
                let found = regions[..filled]
                    .iter()
                    .map(|region| region.end - region.start);
                assert_eq!((found.sum::<u64>(), up_to), (end - start, end));
            }
            // Before Linux 6.7, and under qemu-user.
            Err(error) => assert_is_one_of(&error, &[libc::ENOTTY, libc::ENOSYS]),
        }
    }
}
