//! A sample of a process's pages: its mappings, and the nodes of some of their pages.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{Backing, Exactness, Memory, Reason, Sample, Stratum};
use crate::observe::memory::numa_maps::walk;
use crate::observe::memory::{
    Bounds, HugeDevices, Population, Region, calls, each_mapping, page_nodes, pages,
    present_regions,
};
use crate::observe::process::Resident;
use crate::observe::root::Root;
use crate::units::{Bytes, NodeId, Pid, parse_cpu_list};

/// Why there is no sample.
#[derive(Debug)]
pub(crate) enum SampleError {
    /// The kernel refuses queries of single pages here, or their answers would be useless.
    Unsupported,
    /// Nothing can be read by other means either.
    Failed(Reason),
}

impl From<Reason> for SampleError {
    fn from(reason: Reason) -> Self {
        Self::Failed(reason)
    }
}

/// The memory of a process, estimated from a sample.
pub(crate) fn memory(
    root: &Root,
    pid: Pid,
    resident: Option<&Resident>,
    huge: &HugeDevices,
) -> Result<Memory, SampleError> {
    let until = Instant::now() + root.patience().sample();
    let has_huge = resident.is_none_or(|resident| resident.huge.0 > 0);
    let huge = if has_huge { Some(huge) } else { None };
    let found = mappings(root, pid, huge)?;
    let room = |backing| {
        found
            .populations
            .get(&backing)
            .map_or(Bytes(0), Population::bytes)
    };
    if resident.is_some_and(|resident| resident.huge > room(Backing::Huge)) {
        // They are on a hugetlbfs that is no longer mounted.
        return Err(SampleError::Unsupported);
    }
    let mut sample = Sample::default();
    for (backing, population) in &found.populations {
        let at_most = resident.map(|resident| found.at_most(*backing, resident));
        let query = StratumQuery {
            pid: root.thread_to_ask(pid),
            at_most,
            wanted: match backing {
                Backing::Anonymous => PAGES,
                _ => PAGES / 2,
            },
            matters: resident
                .is_none_or(|resident| at_most.is_none_or(|most| most.0 > resident.all().0 / 100)),
            until,
        };
        let stratum = query.run(root, population).map_err(sample_error)?;
        sample.strata.insert(*backing, stratum);
    }
    let mut memory = walk::read_policy(root, pid)?;
    let bounds = Bounds {
        resident: resident.copied(),
        slack: slack(root),
        copies: found.copies,
        shared_copies: found.shared_copies,
    };
    memory.pages = pages(&sample, &bounds);
    memory.torch_makers = found.torch_makers;
    memory.exactness = Exactness::Sampled(sample);
    Ok(walk::with_thread_policies(root, pid, memory))
}

fn sample_error(error: io::Error) -> SampleError {
    match error.raw_os_error() {
        // `maps` was readable, so the call is forbidden and not the access to this process.
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => SampleError::Unsupported,
        // It no longer has memory.
        Some(libc::EINVAL) => Reason::Gone.into(),
        _ => Reason::from(&error).into(),
    }
}

/// The mappings of a process by backing, without those of files.
#[derive(Debug, Default)]
struct Mappings {
    populations: BTreeMap<Backing, Population>,
    torch_makers: BTreeSet<u32>,
    /// Size of file mappings that can have private copies of pages. Such copies are anonymous memory.
    copies: Bytes,
    /// The same for shared memory.
    shared_copies: Bytes,
}

impl Mappings {
    fn at_most(&self, backing: Backing, resident: &Resident) -> Bytes {
        match backing {
            Backing::Anonymous => resident.anonymous,
            Backing::SharedAnonymous | Backing::Shared => {
                let copies = self.shared_copies.min(resident.anonymous);
                [resident.shared, copies].into_iter().sum()
            }
            Backing::DriverBuffer | Backing::UnifiedMemory | Backing::File => resident.file,
            Backing::Huge => resident.huge,
        }
    }
}

fn mappings(root: &Root, pid: Pid, huge: Option<&HugeDevices>) -> Result<Mappings, Reason> {
    let page = rustix::param::page_size() as u64;
    let devices = huge.map(|huge| huge.of(root, pid)).unwrap_or_default();
    let mut found = Mappings::default();
    each_mapping(root, pid, |mapping| {
        found.torch_makers.extend(mapping.torch_maker());
        let backing = match mapping.backing() {
            Some(_) if devices.contains(&mapping.device) => Backing::Huge,
            Some(backing) => backing,
            None => return,
        };
        let copies = match backing {
            // A mapping that is read-only now was writable during dynamic linking.
            Backing::File if !mapping.executable => Some(&mut found.copies),
            Backing::Shared | Backing::SharedAnonymous if mapping.writable => {
                Some(&mut found.shared_copies)
            }
            _ => None,
        };
        if let Some(copies) = copies.filter(|_| !mapping.shared) {
            copies.0 = copies.0.saturating_add(mapping.size());
        }
        if mapping.accessible && backing != Backing::File {
            let population = found.populations.entry(backing);
            let population = population.or_insert_with(|| Population::new(page));
            population.add(mapping.start, mapping.end);
        }
    })?;
    Ok(found)
}

/// The largest error of the counters in `status`: from Linux 6.2 to 6.16 each CPU holds back up to percpu_counter_batch pages.
fn slack(root: &Root) -> Bytes {
    let possible = root.read("sys/devices/system/cpu/possible").ok();
    let cpus = possible.and_then(|text| parse_cpu_list(text.trim_ascii_end()).ok());
    let cpus = cpus.map_or(1, |cpus| cpus.iter().count().max(1)) as u64;
    let pages = cpus * (2 * cpus).max(32);
    Bytes(pages * rustix::param::page_size() as u64)
}

/// How many pages of the anonymous stratum are queried. By the binomial distribution a share of 75 % is then known to 2 % in 95 of
/// 100 cases. Because memory is placed in long runs and the sample is evenly spread, the error is about a tenth of that.
const PAGES: u64 = 2048;

/// At least this number of queried pages should be present. In a sparse address space more pages are queried.
const PRESENT: u64 = 512;

/// The most pages that are queried.
const MOST_PAGES: u64 = 1 << 16;

/// Pages of one call. The kernel releases the lock after each 16 of them, and the time is checked after each call.
const PAGES_OF_CALL: u64 = 64;

/// The pause after each call. Without it this program takes the mmap lock again before the process, which has to wake up first,
/// can take it. The kernel lets that go on for 4 ms (RWSEM_WAIT_TIMEOUT in its kernel/locking/rwsem.c), and such waits were
/// measured.
const PAUSE: Duration = Duration::from_micros(50);

/// How to sample one stratum.
struct StratumQuery {
    /// The process, or a thread of it if its main thread has ended.
    pid: Pid,
    at_most: Option<Bytes>,
    wanted: u64,
    /// Whether it can be more than a hundredth of the process's memory.
    matters: bool,
    until: Instant,
}

impl StratumQuery {
    fn run(&self, root: &Root, population: &Population) -> io::Result<Stratum> {
        let enough = self.enough(population);
        if enough > self.wanted && self.matters {
            if self.is_scan_faster(population, enough)
                && let Some(present) = self.present(root, population)
            {
                return self.query(&present, self.wanted);
            }
            return self.query(population, enough);
        }
        self.query(population, self.wanted)
    }

    /// How many pages have to be queried so that enough of them are present.
    fn enough(&self, population: &Population) -> u64 {
        let pages = self.at_most.map(|most| most.0 / population.page());
        let pages = pages.unwrap_or(population.pages()).max(1);
        let enough = u128::from(PRESENT) * u128::from(population.pages()) / u128::from(pages);
        u64::try_from(enough).unwrap_or(MOST_PAGES).min(MOST_PAGES)
    }

    /// Whether a scan for all present pages is faster than this number of queries. To find a page takes about a fifteenth of the
    /// time of a query.
    fn is_scan_faster(&self, population: &Population, queries: u64) -> bool {
        self.at_most
            .is_some_and(|most| most.0 / population.page() < 15 * queries)
    }

    /// The present pages of a sparse address space. `None` where the kernel cannot scan for them (before Linux 6.7), or where the
    /// scan takes too long. Empty page tables are skipped fast: 2 GiB scattered over 200 GiB took 14 ms.
    fn present(&self, root: &Root, population: &Population) -> Option<Population> {
        const WINDOW: u64 = 256 << 20;
        const MOST_REGIONS: usize = 1 << 16;
        let pagemap = root.open_live(&format!("proc/{}/pagemap", self.pid)).ok()?;
        let until = self
            .until
            .min(Instant::now() + root.patience().page_search());
        let mut present = Population::new(population.page());
        let mut count = 0;
        let mut regions = [Region::default(); 512];
        for (start, end) in population.ranges() {
            let mut at = start;
            while at < end {
                let window = end.min(at.saturating_add(WINDOW));
                let (filled, up_to) = present_regions(&pagemap, at, window, &mut regions).ok()?;
                for region in &regions[..filled] {
                    present.add(region.start, region.end);
                }
                count += filled;
                // The scan always advances. If it does not, this loop has to end nevertheless.
                if up_to <= at || count > MOST_REGIONS || Instant::now() > until {
                    return None;
                }
                at = up_to;
                thread::sleep(PAUSE);
            }
        }
        Some(present)
    }

    /// Queries this number of pages, or all.
    fn query(&self, population: &Population, wanted: u64) -> io::Result<Stratum> {
        let cells = wanted.min(population.pages());
        let mut stratum = Stratum {
            pages: population.pages(),
            asked: 0,
            present: BTreeMap::new(),
            at_most: self.at_most,
            page: Bytes(population.page()),
        };
        let (mut addresses, mut nodes) = (Vec::new(), Vec::new());
        for (number, call) in calls(cells, PAGES_OF_CALL).enumerate() {
            if number > 0 {
                if Instant::now() > self.until {
                    break;
                }
                thread::sleep(PAUSE);
            }
            addresses.clear();
            let drawn = call
                .into_iter()
                .filter_map(|cell| population.drawn(cell, cells));
            addresses.extend(drawn.filter_map(|address| usize::try_from(address).ok()));
            page_nodes(self.pid, &addresses, &mut nodes)?;
            stratum.asked += addresses.len() as u64;
            // Negative: the page is absent, or is the zero page.
            for node in nodes.iter().filter_map(|node| u32::try_from(*node).ok()) {
                *stratum.present.entry(NodeId(node)).or_default() += 1;
            }
        }
        Ok(stratum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(at_most: Option<u64>) -> StratumQuery {
        StratumQuery {
            pid: Pid(std::process::id()),
            at_most: at_most.map(|pages| Bytes(pages * 4096)),
            wanted: PAGES,
            matters: true,
            until: Instant::now() + Duration::from_secs(600),
        }
    }

    #[test]
    fn more_pages_are_queried_where_few_are_present() {
        let mut row = Population::new(4096);
        row.add(0, 4096 << 20);
        assert_eq!(query(None).enough(&row), 512);
        assert_eq!(query(Some(1 << 20)).enough(&row), 512);
        assert_eq!(query(Some(1 << 15)).enough(&row), 512 * 32);
        assert_eq!(query(Some(1)).enough(&row), MOST_PAGES);
        assert_eq!(query(Some(0)).enough(&row), MOST_PAGES);
    }

    #[test]
    fn present_pages_of_a_sparse_address_space_are_found() {
        let page = rustix::param::page_size();
        let memory = vec![1u8; 600 * page];
        let start = (memory.as_ptr() as usize).next_multiple_of(page) as u64;
        let mut row = Population::new(page as u64);
        row.add(start, start + 512 * page as u64);
        let found = query(Some(100)).present(&Root::live(), &row);
        // `None` before Linux 6.7.
        assert!(found.is_none_or(|found| found.pages() == 512));
    }

    #[test]
    fn a_forbidden_call_differs_from_a_process_that_ended() {
        let of = |number| sample_error(io::Error::from_raw_os_error(number));
        assert!(matches!(of(libc::EPERM), SampleError::Unsupported));
        assert!(matches!(of(libc::ENOSYS), SampleError::Unsupported));
        assert!(matches!(of(libc::ESRCH), SampleError::Failed(Reason::Gone)));
        assert!(matches!(
            of(libc::ENOMEM),
            SampleError::Failed(Reason::Failed(_))
        ));
    }
}
