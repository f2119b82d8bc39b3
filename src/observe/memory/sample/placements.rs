//! Samples of simulated processes: how many pages they need, and how often the truth lies outside of the stated error.

use std::collections::BTreeMap;
use std::io;

use crate::machine::{Backing, error_of};
use crate::observe::memory::sample::growth::{FIRST_LOOK, GrowingStratum, PageQuery, grown};
use crate::observe::memory::sample::order::mixed;
use crate::observe::memory::sample::plan::PAGES;
use crate::observe::memory::{Bounds, Population, pages};
use crate::observe::process::Resident;
use crate::units::{Bytes, Limits, NodeId};

const ABSENT: i32 = -libc::ENOENT;

/// Pseudo-random numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        mixed(self.0)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn is_within(&mut self, share: f64) -> bool {
        (self.next() as f64) < share * u64::MAX as f64
    }
}

/// One stratum: the node of each page, or ABSENT.
struct Simulated {
    backing: Backing,
    start: u64,
    nodes: Vec<i32>,
    present: u64,
}

/// Where pages are.
#[derive(Debug, Clone, Copy)]
enum Placement {
    /// Runs of this number of pages, each on node 1 with this probability, else on node 0.
    Runs(usize, f64),
    /// One run on node 1 with this share of the pages.
    OneRun(f64),
    /// Runs of this number of pages, in turn on this number of nodes.
    Interleaved(usize, usize),
}

impl Placement {
    fn nodes(self, pages: usize, random: &mut Random) -> Vec<i32> {
        match self {
            Self::Runs(length, share) => {
                let shift = random.below(length);
                let mut node = 0;
                let on_node = |at: usize| {
                    if at == 0 || (at + shift).is_multiple_of(length) {
                        node = i32::from(random.is_within(share));
                    }
                    node
                };
                (0..pages).map(on_node).collect()
            }
            Self::OneRun(share) => {
                let length = (pages as f64 * share) as usize;
                let start = random.below(pages - length + 1);
                let is_in_run = |at: usize| (start..start + length).contains(&at);
                (0..pages).map(|at| i32::from(is_in_run(at))).collect()
            }
            Self::Interleaved(length, nodes) => {
                let shift = random.below(length * nodes);
                (0..pages)
                    .map(|at| ((at + shift) / length % nodes) as i32)
                    .collect()
            }
        }
    }
}

/// Strata, one behind the other in the address space.
struct Simulation {
    page: u64,
    strata: Vec<Simulated>,
}

struct SimulatedQuery<'a> {
    of: &'a Simulation,
    answer: Vec<i32>,
}

impl PageQuery for SimulatedQuery<'_> {
    fn nodes(&mut self, addresses: &[usize]) -> io::Result<&[i32]> {
        let node = |address: &usize| self.of.node(*address as u64);
        self.answer = addresses.iter().map(node).collect();
        Ok(&self.answer)
    }

    fn is_late(&self) -> bool {
        false
    }
}

impl Simulation {
    fn new(page: u64, strata: impl IntoIterator<Item = (Backing, Vec<i32>)>) -> Self {
        let mut start = 1 << 40;
        let simulated = strata.into_iter().map(|(backing, nodes)| {
            let stratum = Simulated {
                backing,
                start,
                present: nodes.iter().filter(|node| **node >= 0).count() as u64,
                nodes,
            };
            start += page * (stratum.nodes.len() as u64 + 1);
            stratum
        });
        Self {
            page,
            strata: simulated.collect(),
        }
    }

    fn anonymous(page: u64, nodes: Vec<i32>) -> Self {
        Self::new(page, [(Backing::Anonymous, nodes)])
    }

    fn node(&self, address: u64) -> i32 {
        let nodes = self.strata.iter().find_map(|stratum| {
            let at = address.checked_sub(stratum.start)? / self.page;
            stratum.nodes.get(at as usize)
        });
        *nodes.expect("an address of the process")
    }

    /// The share of node 0.
    fn truth(&self) -> f64 {
        let nodes = self.strata.iter().flat_map(|stratum| &stratum.nodes);
        let present: u64 = self.strata.iter().map(|stratum| stratum.present).sum();
        nodes.filter(|node| **node == 0).count() as f64 / present as f64
    }

    fn bounds(&self) -> Bounds {
        let of = |backing| {
            let strata = self.strata.iter();
            let strata = strata.filter(|stratum| stratum.backing == backing);
            Bytes(strata.map(|stratum| stratum.present).sum::<u64>() * self.page)
        };
        Bounds {
            resident: Some(Resident {
                anonymous: of(Backing::Anonymous),
                shared: of(Backing::SharedAnonymous),
                ..Resident::default()
            }),
            slack: Bytes(64 * self.page),
            ..Bounds::default()
        }
    }

    fn sample_for(&self, limits: &Limits) -> SampledShare {
        let bounds = self.bounds();
        let strata = self.strata.iter().map(|stratum| {
            let mut population = Population::new(self.page);
            let size = self.page * stratum.nodes.len() as u64;
            population.add(stratum.start, stratum.start + size);
            let wanted = match stratum.backing {
                Backing::Anonymous => PAGES,
                _ => PAGES / 2,
            };
            GrowingStratum::new(stratum.backing, population, wanted, None)
        });
        let mut query = SimulatedQuery {
            of: self,
            answer: Vec::new(),
        };
        let sample = grown(strata.collect(), &bounds, limits, &mut query).unwrap();
        let pages = pages(&sample, &bounds);
        let on = |wanted: Option<NodeId>| {
            let bytes = pages.values().flatten();
            let bytes = bytes.filter(|(node, _)| wanted.is_none_or(|wanted| wanted == **node));
            bytes.map(|(_, bytes)| bytes.0).sum::<u64>() as f64
        };
        SampledShare {
            share: on(Some(NodeId(0))) / on(None),
            error: error_of(&sample, &pages, |node| node == NodeId(0)).unwrap(),
            asked: sample
                .strata
                .iter()
                .map(|(backing, of)| (*backing, of.asked))
                .collect(),
        }
    }

    fn sample(&self) -> SampledShare {
        self.sample_for(&Limits::default())
    }
}

/// What a sample says of node 0.
#[derive(Debug)]
struct SampledShare {
    share: f64,
    error: f64,
    asked: BTreeMap<Backing, u64>,
}

impl SampledShare {
    fn asked(&self) -> u64 {
        self.asked.values().sum()
    }

    fn misses(&self, truth: f64) -> bool {
        (self.share - truth).abs() > self.error
    }
}

/// Pages of a process: 2 GiB in pages of 64 KiB.
const LARGE: usize = 1 << 15;

#[test]
fn a_process_of_one_node_needs_a_few_hundred_pages() {
    for page in [4096, 16384, 65536] {
        for pages in [300, 5000, LARGE, 3 * LARGE] {
            let sample = Simulation::anonymous(page, vec![0; pages]).sample();
            assert!(sample.asked() <= FIRST_LOOK, "{page} {pages}: {sample:?}");
            assert_eq!(sample.share, 1.0);
            // 3.7 of 256 pages (rule of three at 97.5 %), where these are a small part of all.
            let least = if pages < LARGE { 0.0 } else { 0.013 };
            assert!((least..0.02).contains(&sample.error), "{sample:?}");
        }
    }
}

#[test]
fn a_process_near_the_limit_is_sampled_in_full() {
    let mut random = Random(1);
    for share in [0.09, 0.095, 0.1, 0.105, 0.11] {
        for _ in 0..5 {
            let run = Placement::OneRun(share).nodes(LARGE, &mut random);
            let sample = Simulation::anonymous(65536, run).sample();
            assert_eq!(sample.asked(), PAGES, "{share}");
            let scattered = Placement::Runs(1, share).nodes(LARGE, &mut random);
            let sample = Simulation::anonymous(65536, scattered).sample();
            assert!(sample.asked() >= PAGES / 2, "{share}: {sample:?}");
        }
    }
}

/// The second limit: of 128 MiB, 12 % are less than 16 MiB.
#[test]
fn the_limit_in_bytes_decides_for_small_processes() {
    let nodes = Placement::OneRun(0.085).nodes(LARGE, &mut Random(2));
    assert!(Simulation::anonymous(4096, nodes.clone()).sample().asked() < PAGES);
    assert_eq!(Simulation::anonymous(65536, nodes).sample().asked(), PAGES);
}

#[test]
fn a_smaller_limit_takes_more_pages() {
    let process = Simulation::anonymous(65536, vec![0; LARGE]);
    let asked = |remote_percent| {
        let limits = Limits {
            remote_percent,
            ..Limits::default()
        };
        process.sample_for(&limits).asked()
    };
    let percents = [0, 1, 2, 10, 50, 98, 99, 100];
    // 0.7 % of 2 GiB are less than 16 MiB.
    let expected = [
        512, 512, FIRST_LOOK, FIRST_LOOK, FIRST_LOOK, FIRST_LOOK, 512, FIRST_LOOK,
    ];
    assert_eq!(percents.map(asked), expected);
}

#[test]
fn memory_on_several_nodes_is_sampled_in_full() {
    let mut random = Random(3);
    let striped = Placement::Interleaved(1, 2).nodes(LARGE, &mut random);
    let four = Placement::Interleaved(512, 4).nodes(LARGE, &mut random);
    // 8 % on one node, and 4 % on another: together they may be above the limit.
    let mut two = Placement::OneRun(0.08).nodes(LARGE, &mut random);
    let rest = two.iter_mut().filter(|node| **node == 0);
    rest.take(LARGE / 25).for_each(|node| *node = 2);
    for nodes in [striped, four, two] {
        let process = Simulation::anonymous(65536, nodes);
        let sample = process.sample();
        assert_eq!(sample.asked(), PAGES);
        assert!(
            sample.error < 0.03 && !sample.misses(process.truth()),
            "{sample:?}"
        );
    }
}

/// A tenth of the pinned memory is elsewhere, which is a hundredth of all.
#[test]
fn pinned_memory_decides_for_itself() {
    let pinned = Placement::OneRun(0.1).nodes(LARGE / 10, &mut Random(4));
    let strata = [
        (Backing::Anonymous, vec![0; LARGE]),
        (Backing::SharedAnonymous, pinned),
    ];
    let sample = Simulation::new(65536, strata).sample();
    let asked: Vec<u64> = sample.asked.into_values().collect();
    assert_eq!(asked, [FIRST_LOOK, PAGES / 2]);
}

/// Each stratum is on one node, but how large they are decides.
#[test]
fn strata_on_different_nodes_are_compared() {
    let strata = [
        (Backing::Anonymous, vec![0; LARGE]),
        (Backing::SharedAnonymous, vec![1; LARGE / 10]),
    ];
    let process = Simulation::new(65536, strata);
    let sample = process.sample();
    assert!(sample.asked[&Backing::Anonymous] > FIRST_LOOK, "{sample:?}");
    assert!(
        !sample.misses(process.truth()) && sample.error < 0.02,
        "{sample:?}"
    );
}

/// Runs of these pages, of which the given share is present, at random.
fn thinned(nodes: Vec<i32>, run: usize, share: f64, random: &mut Random) -> Vec<i32> {
    let mut nodes = nodes;
    for run in nodes.chunks_mut(run) {
        if !random.is_within(share) {
            run.fill(ABSENT);
        }
    }
    nodes
}

/// Four of five pages of shared memory are absent, and it is a small part of all: its share is known soon, its size is not. A
/// counter has the size of anonymous memory.
#[test]
fn more_pages_show_the_size_of_sparse_shared_memory() {
    let mut random = Random(5);
    let strata = [
        (Backing::Anonymous, vec![0; LARGE]),
        (
            Backing::SharedAnonymous,
            thinned(vec![0; LARGE / 4], 1, 0.2, &mut random),
        ),
    ];
    let sample = Simulation::new(65536, strata).sample();
    let asked: Vec<u64> = sample.asked.into_values().collect();
    assert_eq!(asked, [FIRST_LOOK, 2 * FIRST_LOOK]);
}

/// Of memory that is all on one node a few hundred queries are enough, although most of them find no page. The same space with a
/// fifth on another node takes all of them.
#[test]
fn a_sparse_process_of_one_node_needs_some_hundred_pages() {
    let mut random = Random(10);
    for (share, most) in [(0.5, 256), (0.3, 512), (0.2, 512), (0.1, 1024)] {
        let nodes = thinned(vec![0; LARGE], 16, share, &mut random);
        let sample = Simulation::anonymous(65536, nodes).sample();
        assert!(sample.asked() <= most, "{share}: {sample:?}");
        assert!(sample.error < 0.06, "{share}: {sample:?}");
        let nodes = Placement::Runs(64, 0.2).nodes(LARGE, &mut random);
        let nodes = thinned(nodes, 16, share, &mut random);
        let process = Simulation::anonymous(65536, nodes);
        let sample = process.sample();
        assert_eq!(sample.asked(), PAGES, "{share}");
        assert!(!sample.misses(process.truth()), "{share}: {sample:?}");
    }
}

/// A run between two of the sampled pages is not seen. The error includes it.
#[test]
fn a_run_that_is_too_short_to_be_seen_is_within_the_error() {
    let (mut unseen, mut random) = (0, Random(6));
    for share in [0.001, 0.002, 0.003, 0.006, 0.01] {
        for _ in 0..50 {
            let nodes = Placement::OneRun(share).nodes(LARGE / 2, &mut random);
            let process = Simulation::anonymous(65536, nodes);
            let sample = process.sample();
            assert!(!sample.misses(process.truth()), "{share}: {sample:?}");
            unseen += u32::from(sample.share == 1.0);
        }
    }
    assert!(unseen > 30, "{unseen} of 250");
}

/// Interleaved pages, which are the same in each cell of the row. A run of the program draws the same places in all cells, so it is
/// these places that have to be fair.
#[test]
fn each_node_of_interleaved_memory_has_its_share() {
    let mut random = Random(9);
    for pages in [1 << 14, 1 << 15, 30_000, 30_720, 40_001] {
        for nodes in [2, 3, 4, 8] {
            let nodes = Placement::Interleaved(1, nodes).nodes(pages, &mut random);
            let process = Simulation::anonymous(65536, nodes);
            let sample = process.sample();
            assert!(!sample.misses(process.truth()), "{pages}: {sample:?}");
        }
    }
}

/// How many of the samples of such processes miss the truth, and how many ended early. Of each page `present` is the chance that it
/// is present.
fn missed(placement: Placement, present: f64, times: u32, random: &mut Random) -> (u32, u32) {
    let (mut missed, mut early) = (0, 0);
    for _ in 0..times {
        let nodes = thinned(placement.nodes(LARGE / 2, random), 1, present, random);
        let process = Simulation::anonymous(65536, nodes);
        let sample = process.sample();
        missed += u32::from(sample.misses(process.truth()));
        early += u32::from(sample.asked() < PAGES);
    }
    (missed, early)
}

/// Pages that are placed independently are the worst case. The shares are those at which an early end misleads most often: its
/// chance is one of up to four to stop at a sample that looks clear. By the binomial distribution 4.8 of 100 miss at most.
#[test]
fn the_truth_is_outside_of_the_error_in_at_most_5_of_100_cases() {
    const TIMES: u32 = 100;
    let mut random = Random(7);
    let (mut all, mut all_early, mut samples) = (0, 0, 0);
    for share in [0.01, 0.0135, 0.026, 0.028, 0.032, 0.035, 0.055, 0.1, 0.25] {
        for length in [1, 2] {
            let placement = Placement::Runs(length, share);
            let (missed, early) = missed(placement, 1.0, TIMES, &mut random);
            // Three standard deviations above 5 %.
            assert!(
                missed <= TIMES * 115 / 1000,
                "{placement:?}: {missed} of {TIMES}"
            );
            (all, all_early, samples) = (all + missed, all_early + early, samples + TIMES);
        }
    }
    assert!(all * 20 <= samples, "{all} of {samples}");
    assert!(
        all_early * 2 > samples,
        "early ends are what is tested: {all_early}"
    );
}

/// The same where most of the queried pages are absent, so that an answer rests on fewer of them.
#[test]
fn the_same_holds_in_a_sparse_address_space() {
    const TIMES: u32 = 40;
    let mut random = Random(11);
    let (mut all, mut all_early, mut samples) = (0, 0, 0);
    for share in [0.003, 0.006, 0.01, 0.015, 0.02, 0.03, 0.06, 0.1] {
        for present in [0.1, 0.2, 0.35] {
            let placement = Placement::Runs(1, share);
            let (missed, early) = missed(placement, present, TIMES, &mut random);
            assert!(
                missed <= TIMES * 15 / 100,
                "{placement:?}, {present}: {missed}"
            );
            (all, all_early, samples) = (all + missed, all_early + early, samples + TIMES);
        }
    }
    assert!(all * 20 <= samples, "{all} of {samples}");
    assert!(
        all_early * 4 > samples,
        "early ends are what is tested: {all_early}"
    );
}

#[test]
fn long_runs_are_known_much_better() {
    const TIMES: u32 = 20;
    let mut random = Random(8);
    let shares = [0.01, 0.03, 0.05, 0.1, 0.2, 0.3];
    let runs = shares.map(|share| Placement::Runs(512, share));
    let single = shares.map(Placement::OneRun);
    let stripes = [(1, 2), (1, 4), (2, 2), (3, 2), (8, 2), (64, 3), (128, 2)];
    let stripes = stripes.map(|(length, nodes)| Placement::Interleaved(length, nodes));
    for placement in runs.into_iter().chain(single).chain(stripes) {
        let (missed, _) = missed(placement, 1.0, TIMES, &mut random);
        assert_eq!(missed, 0, "{placement:?}: {missed} of {TIMES}");
    }
}
