//! The three system calls for which no library has a safe function. All unsafe code is here.

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

/// A mapping as PROCMAP_QUERY reports it (struct procmap_query in linux/fs.h).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MapQuery {
    size: u64,
    query_flags: u64,
    address: u64,
    pub(crate) start: u64,
    /// The first address after it.
    pub(crate) end: u64,
    flags: u64,
    page_size: u64,
    offset: u64,
    /// 0 where it has no file.
    pub(crate) inode: u64,
    major: u32,
    minor: u32,
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

impl MapQuery {
    /// The device of its file's file system; 0:0 where it has no file.
    pub(crate) fn device(&self) -> (u32, u32) {
        (self.major, self.minor)
    }

    /// Whether it can be read, written or executed.
    pub(crate) fn is_accessible(&self) -> bool {
        self.flags & 0x7 != 0
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.flags & 0x2 != 0
    }

    pub(crate) fn is_executable(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// Whether other processes that map it see what is written.
    pub(crate) fn is_shared(&self) -> bool {
        self.flags & 0x8 != 0
    }
}

/// The first mapping that ends behind this address, in the process of this `maps` (PROCMAP_QUERY, Linux 6.11). `None` where there
/// is none.
pub(crate) fn next_mapping(maps: &File, address: u64) -> io::Result<Option<MapQuery>> {
    const COVERING_OR_NEXT: u64 = 0x10;
    queried(
        maps,
        MapQuery {
            query_flags: COVERING_OR_NEXT,
            address,
            ..MapQuery::default()
        },
        &mut [],
    )
}

/// The name of this mapping as in `maps`, but with its newlines; empty for a plain one. `None` where it is not there any more.
pub(crate) fn mapping_name(maps: &File, of: &MapQuery) -> io::Result<Option<Vec<u8>>> {
    const PATH_MAX: usize = 4096;
    let mut name = vec![0; PATH_MAX];
    let query = MapQuery {
        address: of.start,
        ..MapQuery::default()
    };
    let found = queried(maps, query, &mut name)?;
    let found = found
        .filter(|now| (now.start, now.device(), now.inode) == (of.start, of.device(), of.inode));
    Ok(found.map(|found| {
        // With the NUL at its end; 0 where there is no name.
        name.truncate((found.name_size as usize).saturating_sub(1));
        name.shrink_to_fit();
        name
    }))
}

fn queried(maps: &File, query: MapQuery, name: &mut [u8]) -> io::Result<Option<MapQuery>> {
    let mut query = MapQuery {
        size: size_of::<MapQuery>() as u64,
        name_size: u32::try_from(name.len()).unwrap_or(0),
        name: match name {
            [] => 0,
            _ => name.as_mut_ptr() as u64,
        },
        ..query
    };
    let request = opcode::read_write::<MapQuery>(b'f', 17);
    // SAFETY: `query` has the layout of this request and states its size. The kernel writes to it, and at most `name_size` bytes to
    // `name`, which outlives the call. Because `build_id_size` is 0 it writes nothing else.
    let answer = unsafe { libc::ioctl(maps.as_raw_fd(), request as _, &raw mut query) };
    match answer {
        0 => Ok(Some(query)),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            error => Err(error),
        },
    }
}

/// Whether the kernel is at least of this version, so that a test may not pass over what it lacks. Not under qemu-user, which
/// passes on only the calls that it knows (release/arm64-cargo.sh sets the variable).
#[cfg(test)]
pub(crate) fn is_linux_since(major: u32, minor: u32) -> bool {
    if std::env::var_os("QEMU_LD_PREFIX").is_some() {
        return false;
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|part| part.trim().parse());
    let [first, second] = [(); 2].map(|()| numbers.next().and_then(Result::ok).unwrap_or(0));
    (first, second) >= (major, minor)
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
