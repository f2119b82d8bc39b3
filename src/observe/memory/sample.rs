//! A sample of a process's pages: which mappings there are, and where some of their pages lie.

use std::collections::BTreeMap;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::gap::Reason;
use crate::machine::memory::{Backing, Exactness, Memory, Sample, Stratum};
use crate::observe::memory::estimate::{Bounds, Population, pages};
use crate::observe::memory::huge::HugeDevices;
use crate::observe::memory::maps::parse_mapping;
use crate::observe::memory::syscalls::{Region, page_nodes, present_regions};
use crate::observe::memory::walk;
use crate::observe::process::status::Resident;
use crate::observe::root::Root;
use crate::units::{Bytes, NodeId, Pid, parse_cpu_list};

/// Why there is no sample.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The kernel answers no question about single pages here, or an answer would be worth nothing.
    ToSample,
    /// Nothing can be read.
    Because(Reason),
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::Because(reason)
    }
}

/// A process's memory by a sample.
pub(crate) fn memory(
    root: &Root,
    pid: Pid,
    resident: Option<&Resident>,
    huge: &HugeDevices,
) -> Result<Memory, Refused> {
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
        // On a hugetlbfs that nobody can see any more.
        return Err(Refused::ToSample);
    }
    let mut sample = Sample::default();
    for (backing, population) in &found.populations {
        let at_most = resident.map(|resident| found.at_most(*backing, resident));
        let asked = Asked {
            pid,
            at_most,
            wanted: match backing {
                Backing::Anonymous => PAGES,
                _ => PAGES / 2,
            },
            matters: resident
                .is_none_or(|resident| at_most.is_none_or(|most| most.0 > resident.all().0 / 100)),
            until,
        };
        let stratum = asked.of(root, population).map_err(refused)?;
        sample.strata.insert(*backing, stratum);
    }
    let mut memory = walk::policy(root, pid)?;
    let bounds = Bounds {
        resident: resident.copied(),
        slack: slack(root),
        copies: found.copies,
        shared_copies: found.shared_copies,
    };
    memory.pages = pages(&sample, &bounds);
    memory.torch_makers = found.torch_makers;
    memory.exactness = Exactness::Sampled(sample);
    Ok(walk::with_threads(root, pid, memory))
}

fn refused(error: io::Error) -> Refused {
    match error.raw_os_error() {
        // `maps` could be read, so that it is not the process that is out of bounds.
        Some(libc::EPERM | libc::EACCES | libc::ENOSYS) => Refused::ToSample,
        // It has no memory any more.
        Some(libc::EINVAL) => Reason::Gone.into(),
        _ => Reason::from(&error).into(),
    }
}

/// The mappings of a process by what backs them, but those of files.
#[derive(Debug, Default)]
struct Mappings {
    populations: BTreeMap<Backing, Population>,
    torch_makers: std::collections::BTreeSet<u32>,
    /// Size of the mappings of files that may have private copies of pages: what was written is anonymous memory.
    copies: Bytes,
    /// The same of shared memory.
    shared_copies: Bytes,
}

impl Mappings {
    fn at_most(&self, backing: Backing, resident: &Resident) -> Bytes {
        match backing {
            Backing::Anonymous => resident.anonymous,
            Backing::SharedAnonymous | Backing::Shared => {
                [resident.shared, self.shared_copies].into_iter().sum()
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
    let mut any = false;
    root.read_lines::<Reason>(&format!("proc/{pid}/maps"), |line| {
        any = true;
        let mapping = parse_mapping(line)?;
        found.torch_makers.extend(mapping.torch_maker());
        let backing = match mapping.backing() {
            Some(_) if devices.contains(&mapping.device) => Backing::Huge,
            Some(backing) => backing,
            None => return Ok(()),
        };
        let copies = match backing {
            // Read-only ones were writable while the program was being linked.
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
        Ok(())
    })?;
    // The kernel shows nothing of a process that is about to end, and of its own threads.
    any.then_some(found).ok_or(Reason::Absent)
}

/// By how much the counters in `status` may be off: from Linux 6.2 to 6.16 each CPU holds back so many pages at most
/// (percpu_counter_batch).
fn slack(root: &Root) -> Bytes {
    let possible = root.read("sys/devices/system/cpu/possible").ok();
    let cpus = possible.and_then(|text| parse_cpu_list(text.trim_ascii_end()).ok());
    let cpus = cpus.map_or(1, |cpus| cpus.iter().count().max(1)) as u64;
    let pages = cpus * (2 * cpus).max(32);
    Bytes(pages * rustix::param::page_size() as u64)
}

/// How many pages of the largest stratum are asked. Binomially, 75 % are then known to 2 % in 95 cases of 100; as memory is
/// placed in long pieces and the pages are evenly spread, the error is about a tenth of that.
const PAGES: u64 = 2048;

/// At least so many of them should be there. Where the address space is sparser more are asked.
const PRESENT: u64 = 512;

/// And no more than these.
const MOST: u64 = 1 << 16;

/// Of so many pages all are asked for at once. The kernel lets go of the process after each 16, and the clock is looked at
/// after each such call.
const AT_ONCE: u64 = 64;

/// How long the process is let alone then. Who asks on and on gets the lock on its memory map back before the process, which
/// has to wake up first, can have it: the kernel lets that go on for 4 ms (RWSEM_WAIT_TIMEOUT in its kernel/locking/rwsem.c),
/// and so long a wait was seen.
const LET_ALONE: Duration = Duration::from_micros(50);

/// What is asked of one stratum.
struct Asked {
    pid: Pid,
    at_most: Option<Bytes>,
    wanted: u64,
    /// Whether it can be more than a hundredth of all.
    matters: bool,
    until: Instant,
}

impl Asked {
    fn of(&self, root: &Root, population: &Population) -> io::Result<Stratum> {
        let enough = self.enough(population);
        if enough > self.wanted && self.matters {
            if self.is_scanned_sooner(population, enough)
                && let Some(present) = self.present(root, population)
            {
                return self.ask(&present, self.wanted);
            }
            return self.ask(population, enough);
        }
        self.ask(population, self.wanted)
    }

    /// How many have to be asked so that enough of them are there.
    fn enough(&self, population: &Population) -> u64 {
        let pages = self.at_most.map(|most| most.0 / population.page());
        let pages = pages.unwrap_or(population.pages()).max(1);
        let enough = u128::from(PRESENT) * u128::from(population.pages()) / u128::from(pages);
        u64::try_from(enough).unwrap_or(MOST).min(MOST)
    }

    /// Whether finding all pages that are there takes less time than asking so many. To find one takes about a fifteenth of
    /// what asking for one does.
    fn is_scanned_sooner(&self, population: &Population, asked: u64) -> bool {
        self.at_most
            .is_some_and(|most| most.0 / population.page() < 15 * asked)
    }

    /// The present pages of a sparse address space; `None` where the kernel cannot tell (before Linux 6.7), or it takes long.
    /// Empty page tables are passed over fast: 2 GiB scattered over 200 GiB took 14 ms.
    fn present(&self, root: &Root, population: &Population) -> Option<Population> {
        const WINDOW: u64 = 256 << 20;
        const PIECES: usize = 1 << 16;
        let pagemap = root.open_live(&format!("proc/{}/pagemap", self.pid)).ok()?;
        let until = self
            .until
            .min(Instant::now() + root.patience().page_search());
        let mut present = Population::new(population.page());
        let mut pieces = 0;
        let mut regions = [Region::default(); 512];
        for (start, end) in population.pieces() {
            let mut at = start;
            while at < end {
                let window = end.min(at.saturating_add(WINDOW));
                let (filled, up_to) = present_regions(&pagemap, at, window, &mut regions).ok()?;
                for region in &regions[..filled] {
                    present.add(region.start, region.end);
                }
                pieces += filled;
                // It always gets on; if not, this shall not go on for ever.
                if up_to <= at || pieces > PIECES || Instant::now() > until {
                    return None;
                }
                at = up_to;
                thread::sleep(LET_ALONE);
            }
        }
        Some(present)
    }

    /// Asks so many pages, or all that there are. Each call has some of every part of the row, so that those of a sample that was
    /// cut short by the clock are spread as evenly.
    fn ask(&self, population: &Population, wanted: u64) -> io::Result<Stratum> {
        let cells = wanted.min(population.pages());
        let calls = cells.div_ceil(AT_ONCE);
        let mut stratum = Stratum {
            pages: population.pages(),
            asked: 0,
            present: BTreeMap::new(),
            at_most: self.at_most,
            page: Bytes(population.page()),
        };
        let (mut addresses, mut nodes) = (Vec::new(), Vec::new());
        for call in 0..calls {
            if call > 0 {
                if Instant::now() > self.until {
                    break;
                }
                thread::sleep(LET_ALONE);
            }
            addresses.clear();
            let drawn = (call..cells).step_by(usize::try_from(calls).unwrap_or(1));
            let drawn = drawn.filter_map(|cell| population.drawn(cell, cells));
            addresses.extend(drawn.filter_map(|address| usize::try_from(address).ok()));
            page_nodes(self.pid, &addresses, &mut nodes)?;
            stratum.asked += addresses.len() as u64;
            // Below 0: not there, or the page of zeroes.
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

    fn asked(at_most: Option<u64>) -> Asked {
        Asked {
            pid: Pid(std::process::id()),
            at_most: at_most.map(|pages| Bytes(pages * 4096)),
            wanted: PAGES,
            matters: true,
            until: Instant::now() + Duration::from_secs(600),
        }
    }

    #[test]
    fn more_are_asked_where_few_are_there() {
        let mut row = Population::new(4096);
        row.add(0, 4096 << 20);
        assert_eq!(asked(None).enough(&row), 512);
        assert_eq!(asked(Some(1 << 20)).enough(&row), 512);
        assert_eq!(asked(Some(1 << 15)).enough(&row), 512 * 32);
        assert_eq!(asked(Some(1)).enough(&row), MOST);
        assert_eq!(asked(Some(0)).enough(&row), MOST);
    }

    #[test]
    fn what_is_there_is_found_in_a_sparse_address_space() {
        let page = rustix::param::page_size();
        let memory = vec![1u8; 600 * page];
        let start = (memory.as_ptr() as usize).next_multiple_of(page) as u64;
        let mut row = Population::new(page as u64);
        row.add(start, start + 512 * page as u64);
        let found = asked(Some(100)).present(&Root::live(), &row);
        // None before Linux 6.7.
        assert!(found.is_none_or(|found| found.pages() == 512));
    }

    #[test]
    fn errors_are_told_apart() {
        let of = |number| refused(io::Error::from_raw_os_error(number));
        assert!(matches!(of(libc::EPERM), Refused::ToSample));
        assert!(matches!(of(libc::ENOSYS), Refused::ToSample));
        assert!(matches!(of(libc::ESRCH), Refused::Because(Reason::Gone)));
        assert!(matches!(
            of(libc::ENOMEM),
            Refused::Because(Reason::Failed(_))
        ));
    }
}
