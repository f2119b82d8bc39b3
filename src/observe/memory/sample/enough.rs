//! Whether a sample is enough for an answer. Pure.
//!
//! Which nodes are local is not known here. So the answer is settled if it is the same for every set of nodes: what is not on the
//! node with most memory, with its error, is below the limits. Almost all processes have all their memory on one node, and a few
//! hundred pages show that.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{Backing, Sample, Stratum, error_by_backing, error_of};
use crate::observe::memory::{Bounds, pages};
use crate::units::{Bytes, Limits, NodeBytes, NodeId};

/// The stated error of a share is at most this, if the number of pages allows it: 2048 pages give it for a share of 25 %. So a
/// process whose memory is on several nodes is sampled in full, and its shares are known as well as ever.
const WANTED_ERROR: f64 = 0.02;

/// The same while all sampled pages are on one node. In a sparse address space few of the queried pages are present: 75 give it,
/// as far as the limits do not need more.
const WANTED_ERROR_OF_ONE_NODE: f64 = 0.05;

/// The same for the size of a stratum, as a share of it. 100 present pages of a sparse address space give it. This is the binomial
/// error too: memory is present in long runs, so that a size is known about as well as a share.
const WANTED_SIZE_ERROR: f64 = 0.2;

/// Pinned memory has limits of its own.
const PINNED: [Backing; 2] = [Backing::SharedAnonymous, Backing::DriverBuffer];

/// The strata of which more pages should be queried.
pub(super) fn open_strata(sample: &Sample, bounds: &Bounds, limits: &Limits) -> BTreeSet<Backing> {
    let estimate = pages(sample, bounds);
    let mut open = open_shares(sample, &estimate, limits, wanted_error);
    let (pinned, pinned_pages) = only_pinned(sample, &estimate);
    // Its error alone is not stated.
    if !pinned_pages.is_empty() {
        open.extend(open_shares(&pinned, &pinned_pages, limits, |_| 1.0));
    }
    let strata = sample.strata.iter();
    let unsized_ = strata.filter(|(backing, stratum)| is_size_open(**backing, stratum, bounds));
    open.extend(unsized_.map(|(backing, _)| *backing));
    open
}

fn only_pinned(
    sample: &Sample,
    pages: &BTreeMap<Backing, NodeBytes>,
) -> (Sample, BTreeMap<Backing, NodeBytes>) {
    let (mut sample, mut pages) = (sample.clone(), pages.clone());
    sample.strata.retain(|backing, _| PINNED.contains(backing));
    pages.retain(|backing, _| PINNED.contains(backing));
    (sample, pages)
}

/// The strata that cause most of the error, if the shares of the nodes are open.
fn open_shares(
    sample: &Sample,
    pages: &BTreeMap<Backing, NodeBytes>,
    limits: &Limits,
    wanted_error: fn(&NodeBytes) -> f64,
) -> BTreeSet<Backing> {
    let mut by_node = NodeBytes::new();
    for (node, bytes) in pages.values().flatten() {
        let of_node = by_node.entry(*node).or_default();
        *of_node = [*of_node, *bytes].into_iter().sum();
    }
    let most = by_node.iter().max_by_key(|(_, bytes)| **bytes);
    let most = most.map(|(node, _)| *node);
    let is_most = |node: NodeId| Some(node) == most;
    let error = error_of(sample, pages, is_most);
    let parts = error_by_backing(sample, pages, is_most);
    let (Some(error), Some(parts)) = (error, parts) else {
        // No sampled page was present.
        return sample.strata.keys().copied().collect();
    };
    if error <= wanted_error(&by_node) && !is_limit_near(&by_node, error, limits) {
        return BTreeSet::new();
    }
    let largest = parts.values().map(|part| part.size()).fold(0.0, f64::max);
    let causes = parts.iter();
    let causes = causes.filter(|(_, part)| part.size() > 0.0 && part.size() >= largest / 2.0);
    causes.map(|(backing, _)| *backing).collect()
}

/// The largest error that is stated for memory on these nodes, if the number of pages allows it.
fn wanted_error(by_node: &NodeBytes) -> f64 {
    let nodes = by_node.values().filter(|bytes| bytes.0 > 0);
    match nodes.count() {
        0 | 1 => WANTED_ERROR_OF_ONE_NODE,
        _ => WANTED_ERROR,
    }
}

/// Whether there is a set of nodes whose memory may be on either side of the limits.
fn is_limit_near(by_node: &NodeBytes, error: f64, limits: &Limits) -> bool {
    let all: Bytes = by_node.values().copied().sum();
    let most = by_node.values().max().copied().unwrap_or_default();
    let error = Bytes((all.0 as f64 * error) as u64);
    let elsewhere = [Bytes(all.0 - most.0), error].into_iter().sum();
    let elsewhere = all.min(elsewhere);
    // A set without the node with most memory has at most `elsewhere`, a set with it has at least all the rest.
    let rest = Bytes(all.0 - elsewhere.0);
    limits.exceeds(elsewhere, all) || limits.exceeds(rest, all) != limits.exceeds(all, all)
}

fn is_size_open(backing: Backing, stratum: &Stratum, bounds: &Bounds) -> bool {
    let present = stratum.present();
    if present == 0 || stratum.asked >= stratum.pages {
        return false;
    }
    let share = present as f64 / stratum.asked as f64;
    let error = 2.0 * ((1.0 - share) / present as f64).sqrt();
    error > WANTED_SIZE_ERROR
        && matters(stratum, bounds)
        && !bounds.give_size(backing, WANTED_SIZE_ERROR)
}

/// Whether it can be more than a hundredth of the process's memory.
fn matters(stratum: &Stratum, bounds: &Bounds) -> bool {
    let all = bounds.resident.map(|resident| resident.all());
    match (all, stratum.at_most) {
        (Some(all), Some(most)) => most.0 > all.0 / 100,
        _ => true,
    }
}
