//! Samples strata until their pages are enough for an answer. What answers the queries is an argument.

use std::collections::BTreeSet;
use std::io;

use crate::machine::{Backing, Sample, Stratum};
use crate::observe::memory::sample::enough::open_strata;
use crate::observe::memory::sample::order::CellOrder;
use crate::observe::memory::{Bounds, Population};
use crate::units::{Bytes, Limits, NodeId};

/// What knows the nodes of a process's pages.
pub(super) trait PageQuery {
    /// The node of each address, or a negative number: the page is absent, or is the zero page.
    fn nodes(&mut self, addresses: &[usize]) -> io::Result<&[i32]>;

    /// Whether the time for the sample is over.
    fn is_late(&self) -> bool;
}

/// After this number of pages of a stratum the answer is looked at for the first time, then each time that their number has
/// doubled. If all of them are on one node, at most 1.4 % of the pages are elsewhere, in 95 of 100 cases. That is far below the
/// usual limit of 10 %.
pub(super) const FIRST_LOOK: u64 = 256;

/// Pages of one call. The kernel releases the lock after each 16 of them, and the time is checked after each call.
pub(super) const PAGES_OF_CALL: u64 = 64;

/// One stratum while its sample grows.
#[derive(Debug)]
pub(super) struct GrowingStratum {
    backing: Backing,
    population: Population,
    order: CellOrder,
    stratum: Stratum,
}

impl GrowingStratum {
    /// `wanted`: the most pages to query, rounded up to a power of two. `at_most`: as in [`Stratum`].
    pub(super) fn new(
        backing: Backing,
        population: Population,
        wanted: u64,
        at_most: Option<Bytes>,
    ) -> Self {
        let stratum = Stratum {
            pages: population.pages(),
            at_most,
            page: Bytes(population.page()),
            ..Stratum::default()
        };
        Self {
            backing,
            order: CellOrder::new(wanted.min(population.pages())),
            population,
            stratum,
        }
    }

    fn is_complete(&self) -> bool {
        self.order.visited() == self.order.cells()
    }

    /// Queries pages up to the next look. Once it is late, only the first call is made.
    fn extend(&mut self, query: &mut impl PageQuery) -> io::Result<()> {
        let cells = self.order.cells();
        let look = FIRST_LOOK.max(2 * self.order.visited()).min(cells);
        while self.order.visited() < look && !(self.order.visited() > 0 && query.is_late()) {
            let call = self.order.next_call(PAGES_OF_CALL).into_iter();
            // A cell has no page where there are more cells than pages.
            let drawn = call.filter_map(|cell| self.population.drawn(cell, cells));
            let addresses: Vec<usize> = drawn
                .filter_map(|address| usize::try_from(address).ok())
                .collect();
            if addresses.is_empty() {
                continue;
            }
            let nodes = query.nodes(&addresses)?;
            self.stratum.asked += addresses.len() as u64;
            for node in nodes.iter().filter_map(|node| u32::try_from(*node).ok()) {
                *self.stratum.present.entry(NodeId(node)).or_default() += 1;
            }
        }
        Ok(())
    }
}

/// Samples these strata until the answer is settled, all wanted pages were queried, or it is late.
pub(super) fn grown(
    mut strata: Vec<GrowingStratum>,
    bounds: &Bounds,
    limits: &Limits,
    query: &mut impl PageQuery,
) -> io::Result<Sample> {
    let mut open: BTreeSet<Backing> = strata.iter().map(|stratum| stratum.backing).collect();
    let mut sample = Sample::default();
    loop {
        let mut has_grown = false;
        for stratum in &mut strata {
            if open.contains(&stratum.backing) && !stratum.is_complete() {
                stratum.extend(query)?;
                let current = stratum.stratum.clone();
                sample.strata.insert(stratum.backing, current);
                has_grown = true;
            }
        }
        if !has_grown || query.is_late() {
            return Ok(sample);
        }
        open = open_strata(&sample, bounds, limits);
    }
}
