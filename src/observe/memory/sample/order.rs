//! The order in which the pages of a row are queried. Pure.

/// A place in the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Draw {
    /// One of the equal parts of the row.
    pub(crate) cell: u64,
    /// Where in this part, from 0 to 2^32.
    pub(crate) within: u32,
}

/// Cells of equal size, each of which is visited once, a call at a time.
///
/// The draws are a Sobol' sequence of two dimensions with Owen's scrambling (1995). The first 2^k draws have one cell of each of
/// 2^k equal parts of the row, so a sample that ends early is spread as evenly as a whole one. And they are spread as evenly over
/// the places within a cell: where memory is interleaved page by page, each node has its share of them. Independent random numbers
/// would not ensure that. Fixed steps would be a lattice, and memory that changes its node at the same step would be all on one
/// node. Every run has the same order, so two runs have the same result.
#[derive(Debug)]
pub(crate) struct CellOrder {
    /// The number of cells is this power of two.
    bits: u32,
    visited: u64,
}

impl CellOrder {
    /// At least this number of cells.
    pub(crate) fn new(cells: u64) -> Self {
        let cells = cells.checked_next_power_of_two().unwrap_or(1 << 63);
        Self {
            bits: cells.trailing_zeros(),
            visited: 0,
        }
    }

    /// How many cells there are.
    pub(crate) fn cells(&self) -> u64 {
        1 << self.bits
    }

    /// How many of them were visited.
    pub(crate) fn visited(&self) -> u64 {
        self.visited
    }

    /// The next draws, at most this number, sorted. None at the end.
    pub(crate) fn next_call(&mut self, of_call: u64) -> Vec<Draw> {
        let up_to = self.visited.saturating_add(of_call).min(self.cells());
        let draws = (self.visited..up_to).map(|nth| self.draw(nth));
        let mut call: Vec<Draw> = draws.collect();
        call.sort_unstable();
        self.visited = up_to;
        call
    }

    fn draw(&self, nth: u64) -> Draw {
        /// The bits that a sequence of 2^16 draws spreads. The others are random.
        const SPREAD: u32 = 16;
        let reversed = |level: u32| (nth >> level) & 1;
        let cell = scrambled(self.bits, 0, reversed);
        let second = second_dimension(nth);
        let spread = scrambled(SPREAD, 1 << 63, |level| (second >> (31 - level)) & 1);
        let random = mixed(!nth) & 0xffff;
        Draw {
            cell,
            within: u32::try_from((spread << SPREAD) | random).unwrap_or(u32::MAX),
        }
    }
}

/// The second dimension of the sequence of Sobol' (1967), in 32 bits: the sum, without carry, of a direction for each bit of `nth`.
fn second_dimension(nth: u64) -> u64 {
    let (mut sum, mut direction, mut rest) = (0, 1 << 31, nth);
    while rest > 0 {
        sum ^= direction * (rest & 1);
        direction ^= direction >> 1;
        rest >>= 1;
    }
    sum
}

/// A number of these bits, from the highest to the lowest. Each is flipped at random, by the bits before it (Owen's scrambling).
fn scrambled(bits: u32, seed: u64, bit: impl Fn(u32) -> u64) -> u64 {
    /// A random number of 64 bits has one for each node of a binary tree of so many levels: 2^6 - 1 nodes.
    const LEVELS: u32 = 6;
    let (mut number, mut flips) = (0, 0);
    for level in 0..bits {
        let depth = level % LEVELS;
        if depth == 0 {
            flips = mixed(seed ^ ((1 << level) | number));
        }
        let node = (1 << depth) | (number & ((1 << depth) - 1));
        number = (number << 1) | (bit(level) ^ ((flips >> node) & 1));
    }
    number
}

/// A pseudo-random number (splitmix64, Steele, Lea and Flood 2014).
pub(super) fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn draws(cells: u64) -> Vec<Vec<Draw>> {
        let mut order = CellOrder::new(cells);
        let calls = std::iter::repeat_with(|| order.next_call(64));
        calls.take_while(|call| !call.is_empty()).collect()
    }

    fn calls(cells: u64) -> Vec<Vec<u64>> {
        let draws = draws(cells).into_iter();
        draws
            .map(|call| call.iter().map(|draw| draw.cell).collect())
            .collect()
    }

    #[test]
    fn every_cell_is_visited_once() {
        for (cells, power) in [
            (0, 1),
            (1, 1),
            (5, 8),
            (63, 64),
            (64, 64),
            (65, 128),
            (5000, 8192),
        ] {
            let calls = calls(cells);
            assert_eq!(calls.len() as u64, u64::div_ceil(power, 64));
            let visited: Vec<u64> = calls.concat();
            assert_eq!(visited.len() as u64, power);
            assert_eq!(BTreeSet::from_iter(visited), (0..power).collect());
        }
    }

    #[test]
    fn the_first_cells_are_in_all_parts_of_the_row() {
        let calls = calls(2048);
        for call in &calls {
            assert!((0..64).all(|part| call[part] as usize / 32 == part));
        }
        for enough in [64, 128, 256, 512, 1024] {
            let mut first = calls.concat()[..enough].to_vec();
            first.sort_unstable();
            let width = 2048 / enough;
            assert!((0..enough).all(|part| first[part] as usize / width == part));
        }
    }

    /// Memory that changes its node every 16 cells: a sample that is ended after any call has about half on each node.
    #[test]
    fn a_sample_that_is_cut_short_is_no_lattice() {
        for period in [2, 4, 16, 32, 64, 128] {
            let cut: Vec<u64> = calls(8192).into_iter().take(4).flatten().collect();
            let odd = cut.iter().filter(|cell| *cell / period % 2 == 1).count();
            let share = odd as f64 / cut.len() as f64;
            assert!((0.38..0.62).contains(&share), "{period}: {share}");
        }
    }

    /// Any 2^k first draws have one in each rectangle of cells and places within them that has the 2^k-th part of all.
    #[test]
    fn places_within_cells_are_spread_as_evenly() {
        let draws = draws(2048).concat();
        for (enough, columns) in [
            (256, 1),
            (256, 16),
            (512, 2),
            (1024, 32),
            (2048, 1),
            (2048, 64),
        ] {
            let rows = enough / columns;
            let rectangle = |draw: &Draw| {
                let row = (u64::from(draw.within) * rows) >> 32;
                (draw.cell * columns / 2048, row)
            };
            let met: BTreeSet<_> = draws.iter().take(enough as usize).map(rectangle).collect();
            assert_eq!(met.len() as u64, enough, "{columns} columns");
        }
    }

    #[test]
    fn no_number_of_cells_makes_it_panic() {
        let mut order = CellOrder::new(u64::MAX);
        assert_eq!(order.next_call(64).len(), 64);
    }
}
