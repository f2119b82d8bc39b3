//! The error of a share that was estimated from a sample of pages.

use std::collections::BTreeMap;

use crate::machine::{Backing, Sample};
use crate::units::{Bytes, NodeBytes, NodeId};

/// The half width of the 95 % confidence interval of the share of the working memory on matching nodes, from 0 to 1.
/// `None` if there is no memory.
///
/// This is the binomial error, as if each page had been drawn independently. Memory is placed in long runs and the sampled
/// pages are evenly spread, so the true error is smaller, often ten times smaller.
pub(crate) fn error_of(
    sample: &Sample,
    pages: &BTreeMap<Backing, NodeBytes>,
    matches: impl Fn(NodeId) -> bool,
) -> Option<f64> {
    let working = || {
        pages
            .iter()
            .filter(|(backing, _)| **backing != Backing::File)
    };
    let of = |by_node: &NodeBytes, wanted: &dyn Fn(NodeId) -> bool| {
        let bytes = by_node.iter().filter(|(node, _)| wanted(**node));
        bytes.map(|(_, bytes)| *bytes).sum::<Bytes>().0 as f64
    };
    let all: f64 = working().map(|(_, by_node)| of(by_node, &|_| true)).sum();
    let matching: f64 = working().map(|(_, by_node)| of(by_node, &matches)).sum();
    if all <= 0.0 {
        return None;
    }
    let share = matching / all;
    let (mut variance, mut unseen) = (0.0, 0.0);
    for (backing, stratum) in &sample.strata {
        // Every page was counted.
        if stratum.asked >= stratum.pages {
            continue;
        }
        let asked = stratum.asked as f64;
        let present: u64 = stratum.present.values().sum();
        if present == 0 {
            // Rule of three: up to 3 in `asked` pages may be present although no sampled page was.
            let room = stratum.pages as f64 * stratum.page.0 as f64;
            let missed = room * (3.0 / asked.max(3.0));
            unseen += stratum
                .at_most
                .map_or(missed, |most| missed.min(most.0 as f64));
            continue;
        }
        let matching: u64 = stratum
            .present
            .iter()
            .filter(|(node, _)| matches(**node))
            .map(|(_, count)| count)
            .sum();
        // Agresti and Coull (1998): two more of each, so that a share of 0 or 1 in the sample does not count as certain.
        let (matching, other, n) = (
            matching as f64 + 2.0,
            (present - matching) as f64 + 2.0,
            asked + 4.0,
        );
        // The ratio of two estimated sizes, linearised: a page counts 1 - share if it matches, -share if it does not, and 0
        // if it is not present.
        let mean = (matching * (1.0 - share) - other * share) / n;
        let mean_square = (matching * (1.0 - share).powi(2) + other * share.powi(2)) / n;
        let bytes = pages
            .get(backing)
            .map_or(0.0, |by_node| of(by_node, &|_| true));
        let weight = bytes / all * asked / present as f64;
        let unsampled = 1.0 - asked / stratum.pages as f64;
        variance += weight.powi(2) * (mean_square - mean.powi(2)).max(0.0) / n * unsampled;
    }
    // Two-sided, 95 %.
    const DEVIATIONS: f64 = 1.96;
    Some((DEVIATIONS * variance.sqrt() + unseen / all).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Stratum;

    fn error(strata: &[(Backing, u64, u64, [u64; 2], u64)]) -> Option<f64> {
        let (mut sample, mut pages) = (Sample::default(), BTreeMap::new());
        for (backing, size, asked, present, at_most) in strata {
            let present = present.iter().zip(0..).filter(|(count, _)| **count > 0);
            let present: BTreeMap<NodeId, u64> = present
                .map(|(count, node)| (NodeId(node), *count))
                .collect();
            let bytes = present
                .iter()
                .map(|(node, count)| (*node, Bytes(size * 4096 * count / asked)));
            pages.insert(*backing, bytes.collect());
            let stratum = Stratum {
                pages: *size,
                asked: *asked,
                present,
                at_most: Some(Bytes(at_most * 4096)),
                page: Bytes(4096),
            };
            sample.strata.insert(*backing, stratum);
        }
        error_of(&sample, &pages, |node| node == NodeId(0))
    }

    #[track_caller]
    fn about(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        assert!(
            (found - expected).abs() < expected / 20.0,
            "{found} instead of {expected}"
        );
    }

    #[test]
    fn one_stratum_has_the_binomial_error() {
        use Backing::Anonymous;
        let big = 1 << 30;
        about(
            error(&[(Anonymous, big, 2048, [1536, 512], big)]),
            1.96 * (0.75f64 * 0.25 / 2048.0).sqrt(),
        );
        // Only present pages count.
        about(
            error(&[(Anonymous, big, 8192, [1536, 512], big)]),
            1.96 * (0.75f64 * 0.25 / 2048.0).sqrt(),
        );
        // Rule of three.
        about(
            error(&[(Anonymous, big, 2048, [2048, 0], big)]),
            2.77 / 2048.0,
        );
        // Half of all pages were sampled.
        about(
            error(&[(Anonymous, 4096, 2048, [1024, 1024], big)]),
            1.96 * (0.25f64 / 2048.0 / 2.0).sqrt(),
        );
        assert_eq!(
            error(&[(Anonymous, 2048, 2048, [1024, 1024], big)]),
            Some(0.0)
        );
    }

    #[test]
    fn each_stratum_has_the_weight_of_its_memory() {
        use Backing::{Anonymous, SharedAnonymous};
        let whole = error(&[(Anonymous, 1 << 20, 2048, [1024, 1024], 0)]).unwrap();
        let half = error(&[
            (Anonymous, 1 << 20, 2048, [1024, 1024], 0),
            (SharedAnonymous, 1 << 20, 1 << 20, [1 << 19, 1 << 19], 0),
        ]);
        about(half, whole / 2.0);
    }

    #[test]
    fn pages_that_no_sample_met_may_still_exist() {
        use Backing::{Anonymous, Shared};
        let known = (Anonymous, 3000, 3000, [3000, 0], 3000);
        let unmet = |at_most| error(&[known, (Shared, 1 << 20, 1024, [0, 0], at_most)]);
        about(unmet(30), 0.01);
        about(unmet(1 << 40), 1.0);
        assert_eq!(unmet(0), Some(0.0));
        assert_eq!(error(&[(Shared, 1 << 20, 1024, [0, 0], 9)]), None);
        assert_eq!(error(&[]), None);
    }
}
