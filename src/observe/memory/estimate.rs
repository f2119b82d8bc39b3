//! The arithmetic of sampling: which pages to query, and what the answers say about all pages. Pure.

use std::collections::BTreeMap;

use crate::machine::{Backing, Sample, Stratum};
use crate::observe::memory::sample::order::Draw;
use crate::observe::process::Resident;
use crate::units::{Bytes, NodeBytes};

/// Ranges of an address space, numbered as one row of pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Population {
    /// The first address of each range, and the number of pages up to its end.
    ranges: Vec<(u64, u64)>,
    page: u64,
}

impl Population {
    /// An empty population with this page size.
    pub(crate) fn new(page: u64) -> Self {
        Self {
            ranges: Vec::new(),
            page: page.max(1),
        }
    }

    /// Adds the pages between two addresses.
    pub(crate) fn add(&mut self, start: u64, end: u64) {
        let pages = end.saturating_sub(start) / self.page;
        if pages > 0 {
            self.ranges
                .push((start, self.pages().saturating_add(pages)));
        }
    }

    /// The number of pages.
    pub(crate) fn pages(&self) -> u64 {
        self.ranges.last().map_or(0, |(_, up_to)| *up_to)
    }

    /// The page size.
    pub(crate) fn page(&self) -> u64 {
        self.page
    }

    /// The size of all pages.
    pub(crate) fn bytes(&self) -> Bytes {
        Bytes(self.pages().saturating_mul(self.page))
    }

    /// The first address of each range, and the first address after it.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        let before = [0]
            .into_iter()
            .chain(self.ranges.iter().map(|(_, up_to)| *up_to));
        self.ranges
            .iter()
            .zip(before)
            .map(|((start, up_to), before)| {
                (
                    *start,
                    start.saturating_add((up_to - before).saturating_mul(self.page)),
                )
            })
    }

    /// The address of a page by its number, counted from 0.
    fn address(&self, nth: u64) -> Option<u64> {
        let at = self.ranges.partition_point(|(_, up_to)| *up_to <= nth);
        let before = at.checked_sub(1).map_or(0, |at| self.ranges[at].1);
        let (start, _) = self.ranges.get(at)?;
        start.checked_add(nth.checked_sub(before)?.checked_mul(self.page)?)
    }

    /// The page at a place in one of `cells` equal parts of the row. `None` where that part has no page.
    pub(crate) fn drawn(&self, draw: Draw, cells: u64) -> Option<u64> {
        let edge = |cell: u64| {
            // To divide 128 bits takes ten times as long, and only an impossible address space needs them.
            if let Some(product) = self.pages().checked_mul(cell) {
                return product / cells.max(1);
            }
            let at = u128::from(self.pages()) * u128::from(cell) / u128::from(cells.max(1));
            u64::try_from(at).unwrap_or(u64::MAX)
        };
        let (first, end) = (edge(draw.cell), edge(draw.cell.saturating_add(1)));
        let width = end.checked_sub(first).filter(|width| *width > 0)?;
        let within = (u128::from(width) * u128::from(draw.within)) >> u32::BITS;
        self.address(first.checked_add(u64::try_from(within).ok()?)?)
    }
}

/// Bounds of an estimate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// The counters of the process.
    pub(crate) resident: Option<Resident>,
    /// The error of these counters.
    pub(crate) slack: Bytes,
    /// Size of mappings that can have private copies of file pages. The counter of anonymous pages includes such copies.
    pub(crate) copies: Bytes,
    /// Size of mappings that can have private copies of shared pages. The counter of anonymous pages includes such copies, that
    /// of shared pages does not. A sample cannot tell them from shared pages.
    pub(crate) shared_copies: Bytes,
}

impl Bounds {
    /// Whether the counters give the size of this backing, with an error of at most this share of it.
    pub(crate) fn give_size(&self, backing: Backing, error: f64) -> bool {
        let Some(resident) = self.resident else {
            return false;
        };
        match backing {
            Backing::Huge => true,
            Backing::Anonymous => {
                let unknown = [self.slack, self.slack, self.copies, self.shared_copies];
                let unknown: Bytes = unknown.into_iter().sum();
                unknown.0 as f64 / 2.0 <= resident.anonymous.0 as f64 * error
            }
            _ => false,
        }
    }
}

/// The estimate for all pages from a sample.
pub(crate) fn pages(sample: &Sample, bounds: &Bounds) -> BTreeMap<Backing, NodeBytes> {
    let strata = sample.strata.iter();
    let mut pages: BTreeMap<Backing, NodeBytes> = strata
        .map(|(backing, stratum)| (*backing, scaled(stratum)))
        .filter(|(_, by_node)| !by_node.is_empty())
        .collect();
    let Some(resident) = bounds.resident else {
        return pages;
    };
    let more = |bytes: Bytes| Bytes(bytes.0.saturating_add(bounds.slack.0));
    let less = |bytes: Bytes, other: Bytes| Bytes(bytes.0.saturating_sub(other.0));
    // Linux 6.1 does not report pages that NUMA balancing has unmapped, at times a sixth of all. The counter includes them, and
    // which pages are unmapped does not depend on their node.
    let least = less(less(resident.anonymous, bounds.copies), bounds.slack);
    // A private copy is in one of both, and counts once.
    let both = [
        Backing::Anonymous,
        Backing::SharedAnonymous,
        Backing::Shared,
    ];
    if bounds.shared_copies.0 > 0 {
        fit(&mut pages, &both, least, Bytes(u64::MAX));
    }
    fit(
        &mut pages,
        &[Backing::Anonymous],
        less(least, bounds.shared_copies),
        more(resident.anonymous),
    );
    let shared = [Backing::SharedAnonymous, Backing::Shared];
    let copies = bounds.shared_copies.min(resident.anonymous);
    let most = [more(resident.shared), copies].into_iter().sum();
    fit(&mut pages, &shared, Bytes(0), most);
    let most = [more(resident.anonymous), resident.shared]
        .into_iter()
        .sum();
    fit(&mut pages, &both, Bytes(0), most);
    // This counter counts the same pages, and is exact.
    fit(&mut pages, &[Backing::Huge], resident.huge, resident.huge);
    pages
}

fn scaled(stratum: &Stratum) -> NodeBytes {
    let present = stratum.present.iter();
    let bytes = present.map(|(node, count)| {
        let pages =
            u128::from(stratum.pages) * u128::from(*count) / u128::from(stratum.asked.max(1));
        let bytes = pages * u128::from(stratum.page.0);
        (*node, Bytes(u64::try_from(bytes).unwrap_or(u64::MAX)))
    });
    bytes.filter(|(_, bytes)| bytes.0 > 0).collect()
}

/// Scales the sum of these backings into the bounds, unless the sum is 0.
fn fit(pages: &mut BTreeMap<Backing, NodeBytes>, which: &[Backing], least: Bytes, most: Bytes) {
    let ours = pages.iter().filter(|(backing, _)| which.contains(backing));
    let all: Bytes = ours
        .flat_map(|(_, by_node)| by_node.values())
        .copied()
        .sum();
    let wanted = Bytes(all.0.max(least.0).min(most.0.max(least.0)));
    if all.0 == 0 || all == wanted {
        return;
    }
    for backing in which {
        for bytes in pages
            .get_mut(backing)
            .into_iter()
            .flat_map(|by_node| by_node.values_mut())
        {
            let scaled = u128::from(bytes.0) * u128::from(wanted.0) / u128::from(all.0);
            *bytes = Bytes(u64::try_from(scaled).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::units::NodeId;

    fn population(ranges: &[(u64, u64)]) -> Population {
        let mut population = Population::new(4096);
        for (start, pages) in ranges {
            population.add(*start, start + pages * 4096);
        }
        population
    }

    #[test]
    fn ranges_are_one_row_of_pages() {
        let row = population(&[(0x1000, 2), (0x9000, 0), (0x10000, 3)]);
        assert_eq!((row.pages(), row.bytes()), (5, Bytes(5 * 4096)));
        let addresses: Vec<_> = (0..6).map(|nth| row.address(nth)).collect();
        let expected = [0x1000, 0x2000, 0x10000, 0x11000, 0x12000].map(Some);
        assert_eq!(addresses, [&expected[..], &[None]].concat());
        let ranges: Vec<_> = row.ranges().collect();
        assert_eq!(ranges, [(0x1000, 0x3000), (0x10000, 0x13000)]);
    }

    #[test]
    fn a_sample_of_all_pages_has_each_page_once() {
        let row = population(&[(0x1000, 100), (0x1000_0000, 37)]);
        for within in [0, u32::MAX] {
            let draws = (0..137).map(|cell| Draw { cell, within });
            let drawn: BTreeSet<u64> = draws.filter_map(|draw| row.drawn(draw, 137)).collect();
            assert_eq!(drawn.len(), 137);
        }
    }

    #[test]
    fn a_page_is_drawn_from_its_part() {
        for page in [4096, 65536] {
            let mut row = Population::new(page);
            row.add(1 << 40, (1 << 40) + 1000 * page);
            let at = |cell, within| row.drawn(Draw { cell, within }, 10);
            let nth = |nth: u64| Some((1 << 40) + nth * page);
            assert_eq!((at(0, 0), at(0, u32::MAX)), (nth(0), nth(99)));
            assert_eq!((at(9, 0), at(9, u32::MAX)), (nth(900), nth(999)));
            assert_eq!((at(3, 1 << 31), at(10, 0)), (nth(350), None));
        }
    }

    fn stratum(pages: u64, asked: u64, present: [u64; 2]) -> Stratum {
        let nodes = present.into_iter().zip(0..).filter(|(count, _)| *count > 0);
        Stratum {
            pages,
            asked,
            present: nodes.map(|(count, node)| (NodeId(node), count)).collect(),
            at_most: None,
            page: Bytes(4096),
        }
    }

    #[track_caller]
    fn estimated(strata: &[(Backing, Stratum)], bounds: &Bounds) -> Vec<(Backing, Vec<u64>)> {
        let sample = Sample {
            strata: strata.iter().cloned().collect(),
        };
        let pages = pages(&sample, bounds).into_iter();
        let in_pages = |by_node: NodeBytes| by_node.values().map(|bytes| bytes.0 / 4096).collect();
        pages
            .map(|(backing, by_node)| (backing, in_pages(by_node)))
            .collect()
    }

    #[test]
    fn pages_of_other_sizes_have_other_sizes() {
        for page in [4096, 16384, 65536] {
            let of = Stratum {
                page: Bytes(page),
                ..stratum(8000, 1000, [600, 200])
            };
            let sample = Sample {
                strata: [(Backing::Anonymous, of)].into(),
            };
            let found = pages(&sample, &Bounds::default());
            let sizes: Vec<u64> = found[&Backing::Anonymous]
                .values()
                .map(|bytes| bytes.0)
                .collect();
            assert_eq!(sizes, [4800 * page, 1600 * page]);
        }
    }

    #[test]
    fn a_counter_gives_a_size_where_its_own_error_is_small() {
        let gives = |backing, slack: u64, copies: u64| {
            let bounds = Bounds {
                resident: Some(Resident {
                    anonymous: Bytes(1000 << 20),
                    ..Resident::default()
                }),
                slack: Bytes(slack << 20),
                copies: Bytes(copies << 20),
                ..Bounds::default()
            };
            bounds.give_size(backing, 0.1)
        };
        assert!(gives(Backing::Anonymous, 50, 100) && gives(Backing::Huge, 500, 0));
        assert!(!gives(Backing::Anonymous, 50, 101) && !gives(Backing::Anonymous, 101, 0));
        assert!(!gives(Backing::Shared, 0, 0));
        assert!(!Bounds::default().give_size(Backing::Anonymous, 0.1));
    }

    #[test]
    fn a_queried_page_represents_its_part() {
        use Backing::*;
        let strata = [
            (Anonymous, stratum(8000, 1000, [600, 200])),
            (Shared, stratum(500, 500, [1, 2])),
            (Huge, stratum(512, 100, [0, 0])),
        ];
        let expected = [(Anonymous, vec![4800, 1600]), (Shared, vec![1, 2])];
        assert_eq!(estimated(&strata, &Bounds::default()), expected);
    }

    #[test]
    fn the_counters_of_the_process_bound_the_estimate() {
        use Backing::*;
        let strata = [
            (Anonymous, stratum(8000, 1000, [600, 200])),
            (SharedAnonymous, stratum(1000, 1000, [500, 0])),
            (Shared, stratum(1000, 1000, [500, 0])),
            (Huge, stratum(5120, 1024, [100, 100])),
        ];
        let resident = |anonymous: u64, shared: u64, huge: u64| Resident {
            anonymous: Bytes(anonymous * 4096),
            file: Bytes(0),
            shared: Bytes(shared * 4096),
            huge: Bytes(huge * 4096),
        };
        let bounds = Bounds {
            resident: Some(resident(8000, 500, 1024)),
            ..Bounds::default()
        };
        let expected = [
            (Anonymous, vec![6000, 2000]),
            (SharedAnonymous, vec![250]),
            (Shared, vec![250]),
            (Huge, vec![512, 512]),
        ];
        assert_eq!(estimated(&strata, &bounds), expected);
        // Within the error of the counters, the sample counts.
        let bounds = Bounds {
            resident: Some(resident(7000, 900, 1024)),
            slack: Bytes(100 * 4096),
            copies: Bytes(500 * 4096),
            ..Bounds::default()
        };
        assert_eq!(
            estimated(&strata, &bounds)[..2],
            [(Anonymous, vec![4800, 1600]), (SharedAnonymous, vec![500])]
        );
    }

    /// 12 pages of heap, and a file in /dev/shm of 60 pages that is mapped privately and written.
    #[test]
    fn private_copies_of_shared_memory_count_once() {
        use Backing::*;
        let strata = [
            (Anonymous, stratum(12, 12, [0, 12])),
            (Shared, stratum(60, 60, [60, 0])),
        ];
        let counted = |anonymous: u64, shared: u64| Bounds {
            resident: Some(Resident {
                anonymous: Bytes(anonymous * 4096),
                shared: Bytes(shared * 4096),
                ..Resident::default()
            }),
            shared_copies: Bytes(60 * 4096),
            ..Bounds::default()
        };
        let expected = [(Anonymous, vec![12]), (Shared, vec![60])];
        assert_eq!(estimated(&strata, &counted(72, 0)), expected);
        // Only half of its pages were written: the others are shared.
        assert_eq!(estimated(&strata, &counted(42, 30)), expected);
        // None was written.
        assert_eq!(estimated(&strata, &counted(12, 60)), expected);
        // Where the kernel hides pages, heap and copies grow alike.
        let hidden = [
            (Anonymous, stratum(12, 12, [0, 6])),
            (Shared, stratum(60, 60, [30, 0])),
        ];
        assert_eq!(estimated(&hidden, &counted(72, 0)), expected);
    }

    proptest! {
        #[test]
        fn every_drawn_page_is_in_a_range(
            ranges in proptest::collection::vec((0u64..1 << 36, 0u64..5000), 0..9),
            cells in 0u64..9000,
            cell in 0u64..9000,
            within: u32,
        ) {
            let row = population(&ranges);
            if let Some(address) = row.drawn(Draw { cell, within }, cells) {
                prop_assert!(row.ranges().any(|(start, end)| (start..end).contains(&address)));
            }
        }

        #[test]
        fn no_numbers_make_it_panic(start: u64, end: u64, page: u64, cell: u64, cells: u64, asked: u64, count: u64, bytes: u64) {
            let mut row = Population::new(page);
            row.add(start, end);
            row.add(end, start);
            let _ = (row.drawn(Draw { cell, within: u32::MAX }, cells), row.bytes(), row.ranges().count());
            let of = stratum(row.pages(), asked, [count, count]);
            let sample = Sample { strata: [(Backing::Anonymous, of.clone()), (Backing::Huge, of)].into() };
            let resident = Resident { anonymous: Bytes(bytes), file: Bytes(bytes), shared: Bytes(bytes), huge: Bytes(bytes) };
            let _ = pages(&sample, &Bounds { resident: Some(resident), slack: Bytes(end), copies: Bytes(start), ..Bounds::default() });
        }
    }
}
