//! The error of a share that was estimated from a sample of pages.
//!
//! Memory is placed in long runs and the sampled pages are evenly spread, so the true error is smaller than the stated one, often
//! ten times smaller. But a sample whose pages are all on one node does not prove that no page is elsewhere: a single run that
//! lies between two sampled pages is not seen. So the error is never 0, and it grows where fewer pages are sampled.

use std::collections::BTreeMap;

use crate::machine::{Backing, Sample, Stratum};
use crate::units::{Bytes, NodeBytes, NodeId};

/// Two-sided, 97.5 %. A sample ends early where its first pages look clear (`observe/memory/sample/enough.rs`), and each look is
/// a chance to be wrong: with this many deviations for each look, all looks together are right in at least 95 of 100 cases.
const DEVIATIONS: f64 = 2.24;

/// Agresti and Coull (1998): so many more of each, so that a share of 0 or 1 in the sample does not count as certain.
const MORE_OF_EACH: f64 = DEVIATIONS * DEVIATIONS / 2.0;

/// Where no sampled page was present, up to so many of them may be (rule of three, at 97.5 %: -ln 0.025).
const UNSEEN: f64 = 3.69;

/// By how much the sample of one stratum can shift the share of the whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct StratumError {
    /// The variance of the share.
    variance: f64,
    /// The share that pages can have of which no sampled page was present.
    unseen: f64,
}

impl StratumError {
    /// The error that this stratum alone causes.
    pub(crate) fn size(self) -> f64 {
        DEVIATIONS * self.variance.sqrt() + self.unseen
    }
}

/// The half width of the 95 % confidence interval of the share of the working memory on matching nodes, from 0 to 1.
/// `None` if there is no memory.
///
/// This is the binomial error, as if each page had been drawn independently.
pub(crate) fn error_of(
    sample: &Sample,
    pages: &BTreeMap<Backing, NodeBytes>,
    matches: impl Fn(NodeId) -> bool,
) -> Option<f64> {
    let parts = error_by_backing(sample, pages, matches)?;
    let variance: f64 = parts.values().map(|part| part.variance).sum();
    let unseen: f64 = parts.values().map(|part| part.unseen).sum();
    let error = StratumError { variance, unseen };
    Some(error.size().min(1.0))
}

/// What each stratum adds to [`error_of`]. `None` if there is no memory.
pub(crate) fn error_by_backing(
    sample: &Sample,
    pages: &BTreeMap<Backing, NodeBytes>,
    matches: impl Fn(NodeId) -> bool,
) -> Option<BTreeMap<Backing, StratumError>> {
    let working = || {
        pages
            .iter()
            .filter(|(backing, _)| **backing != Backing::File)
    };
    let all: f64 = working().map(|(_, by_node)| bytes(by_node, |_| true)).sum();
    let matching: f64 = working().map(|(_, by_node)| bytes(by_node, &matches)).sum();
    if all <= 0.0 {
        return None;
    }
    let parts = sample.strata.iter().map(|(backing, stratum)| {
        let own = pages
            .get(backing)
            .map_or(0.0, |by_node| bytes(by_node, |_| true));
        let part = of_stratum(stratum, matching / all, own / all, &matches, all);
        (*backing, part)
    });
    Some(parts.collect())
}

fn bytes(by_node: &NodeBytes, wanted: impl Fn(NodeId) -> bool) -> f64 {
    let bytes = by_node.iter().filter(|(node, _)| wanted(**node));
    bytes.map(|(_, bytes)| *bytes).sum::<Bytes>().0 as f64
}

/// `share` is that of the matching nodes in the whole memory of `all` bytes, `weight` that of this stratum.
fn of_stratum(
    stratum: &Stratum,
    share: f64,
    weight: f64,
    matches: impl Fn(NodeId) -> bool,
    all: f64,
) -> StratumError {
    // Every page was counted.
    if stratum.asked >= stratum.pages {
        return StratumError::default();
    }
    let asked = stratum.asked as f64;
    let present = stratum.present();
    if present == 0 {
        let room = stratum.pages as f64 * stratum.page.0 as f64;
        let missed = room * (UNSEEN / asked.max(UNSEEN));
        let most = stratum.at_most.map_or(missed, |most| most.0 as f64);
        return StratumError {
            variance: 0.0,
            unseen: missed.min(most) / all,
        };
    }
    let matching = stratum.present.iter().filter(|(node, _)| matches(**node));
    let matching: u64 = matching.map(|(_, count)| count).sum();
    let (matching, other, n) = (
        matching as f64 + MORE_OF_EACH,
        (present - matching) as f64 + MORE_OF_EACH,
        asked + 2.0 * MORE_OF_EACH,
    );
    // The ratio of two estimated sizes, linearised: a page counts 1 - share if it matches, -share if it does not, and 0 if it
    // is not present.
    let mean = (matching * (1.0 - share) - other * share) / n;
    let mean_square = (matching * (1.0 - share).powi(2) + other * share.powi(2)) / n;
    let weight = weight * asked / present as f64;
    let unsampled = 1.0 - asked / stratum.pages as f64;
    StratumError {
        variance: weight.powi(2) * (mean_square - mean.powi(2)).max(0.0) / n * unsampled,
        unseen: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            DEVIATIONS * (0.75f64 * 0.25 / 2048.0).sqrt(),
        );
        // Only present pages count.
        about(
            error(&[(Anonymous, big, 8192, [1536, 512], big)]),
            DEVIATIONS * (0.75f64 * 0.25 / 2048.0).sqrt(),
        );
        // All on one node: 3.5 of the sampled pages may be elsewhere. With fewer pages that is a larger share.
        about(error(&[(Anonymous, big, 2048, [2048, 0], big)]), 0.0017);
        about(error(&[(Anonymous, big, 256, [256, 0], big)]), 0.0138);
        // Half of all pages were sampled.
        about(
            error(&[(Anonymous, 4096, 2048, [1024, 1024], big)]),
            DEVIATIONS * (0.25f64 / 2048.0 / 2.0).sqrt(),
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
        about(unmet(300), 0.1);
        assert_eq!(unmet(0), Some(0.0));
        assert_eq!(error(&[(Shared, 1 << 20, 1024, [0, 0], 9)]), None);
        assert_eq!(error(&[]), None);
    }
}
