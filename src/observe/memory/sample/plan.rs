//! Which pages of a stratum are sampled, and how many at most.

use std::time::Instant;

use crate::machine::Backing;
use crate::observe::memory::sample::pauses::Pauses;
use crate::observe::memory::{Population, Region, present_regions};
use crate::observe::process::Resident;
use crate::observe::root::Root;
use crate::units::{Bytes, Pid};

/// The most pages of the anonymous stratum. By the binomial distribution a share of 75 % is then known to 2 % in 95 of 100 cases.
/// Because memory is placed in long runs and the sample is evenly spread, the error is about a tenth of that.
pub(super) const PAGES: u64 = 2048;

/// At least this number of queried pages should be present in a full sample. In a sparse address space more pages are queried.
const PRESENT: u64 = 512;

/// Where memory is on one node, the answer needs so many of them.
const USUALLY_PRESENT: u64 = PRESENT / 4;

/// The most pages that are queried.
const MOST_PAGES: u64 = 1 << 16;

/// How to sample one stratum.
#[derive(Debug)]
pub(super) struct StratumPlan {
    /// The process, or a thread of it if its main thread has ended.
    pid: Pid,
    at_most: Option<Bytes>,
    /// The most pages to query where most pages are present.
    wanted: u64,
    /// Whether it can be more than a hundredth of the process's memory.
    matters: bool,
    until: Instant,
}

impl StratumPlan {
    pub(super) fn new(
        pid: Pid,
        backing: Backing,
        resident: Option<&Resident>,
        at_most: Option<Bytes>,
        until: Instant,
    ) -> Self {
        Self {
            pid,
            at_most,
            wanted: match backing {
                Backing::Anonymous => PAGES,
                _ => PAGES / 2,
            },
            matters: resident
                .is_none_or(|resident| at_most.is_none_or(|most| most.0 > resident.all().0 / 100)),
            until,
        }
    }

    /// The pages to draw from, and how many of them to query at most.
    pub(super) fn population(&self, root: &Root, population: Population) -> (Population, u64) {
        let enough = self.enough(&population);
        if enough <= self.wanted || !self.matters {
            return (population, self.wanted);
        }
        let usually = enough * USUALLY_PRESENT / PRESENT;
        let is_scan_faster = self.is_scan_faster(&population, usually);
        match is_scan_faster
            .then(|| self.present(root, &population))
            .flatten()
        {
            Some(present) => (present, self.wanted),
            None => (population, enough),
        }
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
        let mut pauses = Pauses::new();
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
                pauses.give_way();
            }
        }
        Some(present)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observe::memory::syscalls::is_linux_since;

    fn plan(at_most: Option<u64>) -> StratumPlan {
        plan_of(at_most, 4096)
    }

    /// With this page size.
    fn plan_of(at_most: Option<u64>, page: u64) -> StratumPlan {
        StratumPlan {
            pid: Pid(std::process::id()),
            at_most: at_most.map(|pages| Bytes(pages * page)),
            wanted: PAGES,
            matters: true,
            until: Instant::now() + Duration::from_secs(600),
        }
    }

    #[test]
    fn more_pages_are_queried_where_few_are_present() {
        let mut row = Population::new(4096);
        row.add(0, 4096 << 20);
        assert_eq!(plan(None).enough(&row), 512);
        assert_eq!(plan(Some(1 << 20)).enough(&row), 512);
        assert_eq!(plan(Some(1 << 15)).enough(&row), 512 * 32);
        assert_eq!(plan(Some(1)).enough(&row), MOST_PAGES);
        assert_eq!(plan(Some(0)).enough(&row), MOST_PAGES);
        let mut row = Population::new(65536);
        row.add(0, 65536 << 20);
        assert_eq!(plan_of(Some(1 << 15), 65536).enough(&row), 512 * 32);
        assert_eq!(plan_of(Some(1 << 19), 4096).enough(&row), 512 * 32);
    }

    #[test]
    fn a_scan_pays_where_few_pages_are_present() {
        for page in [4096, 16384, 65536] {
            let mut row = Population::new(page);
            row.add(0, page << 20);
            assert!(plan_of(Some(14_999), page).is_scan_faster(&row, 1000));
            assert!(!plan_of(Some(15_000), page).is_scan_faster(&row, 1000));
        }
    }

    #[test]
    fn present_pages_of_a_sparse_address_space_are_found() {
        let page = rustix::param::page_size();
        let memory = vec![1u8; 600 * page];
        let start = (memory.as_ptr() as usize).next_multiple_of(page) as u64;
        let mut row = Population::new(page as u64);
        row.add(start, start + 512 * page as u64);
        let found = plan(Some(100)).present(&Root::live(), &row);
        match found {
            Some(found) => assert_eq!(found.pages(), 512),
            None => assert!(!is_linux_since(6, 7), "the kernel has the scan"),
        }
    }
}
