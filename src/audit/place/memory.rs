//! Where the memory of a process is.

use std::collections::BTreeMap;

use crate::audit::Limits;
use crate::audit::place::{LocalNodes, Locality, Verdict};
use crate::machine::{Backing, Exactness, Memory, Policy, Process, Sample, error_of};
use crate::units::{Bytes, NodeBytes, NodeId, NodeSet};
pub(crate) use crate::words::MemoryKind;

impl MemoryKind {
    /// Pinned memory of the driver looks like any other shared anonymous mapping. In a process that holds a GPU context
    /// it is counted as pinned.
    fn of(backing: Backing, holds_context: bool) -> Self {
        match backing {
            Backing::Anonymous => Self::Anonymous,
            Backing::SharedAnonymous if holds_context => Self::Pinned,
            Backing::SharedAnonymous | Backing::Shared => Self::Shared,
            Backing::DriverBuffer => Self::Pinned,
            Backing::UnifiedMemory => Self::Managed,
            Backing::Huge => Self::Huge,
            Backing::File => Self::File,
        }
    }
}

/// The memory placement of a process.
#[derive(Debug, Clone)]
pub(crate) struct MemoryPlace {
    /// The nodes whose memory the cpuset allows; `None` if unknown.
    pub(crate) mems_allowed: Option<NodeSet>,
    /// `None` if the pages could not be read.
    pub(crate) pages: Option<PagePlace>,
    /// `None` for a process that is not judged.
    pub(crate) verdict: Option<Verdict>,
}

/// The pages of a process by node.
#[derive(Debug, Clone)]
pub(crate) struct PagePlace {
    /// The memory policy of the main thread.
    pub(crate) policy: Policy,
    /// How many threads have each policy. Empty if the threads were not examined.
    pub(crate) thread_policies: BTreeMap<Policy, usize>,
    /// The node with most of the working memory (the lowest of equal ones); `None` if there is no working memory.
    pub(crate) node: Option<NodeId>,
    /// The working memory: every kind except `file`.
    pub(crate) by_node: NodeBytes,
    /// The locality of each node in `by_node`; empty if the local nodes are unknown.
    pub(crate) locality: BTreeMap<NodeId, Locality>,
    /// All memory, by kind.
    pub(crate) by_kind: BTreeMap<MemoryKind, NodeBytes>,
    /// How much of the working memory is local; `None` if the local nodes are unknown.
    pub(crate) share: Option<Share>,
    /// How exact these figures are; `None` if every page was counted.
    pub(crate) estimate: Option<Estimate>,
}

/// The size and the error of the sample from which figures were estimated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// How many pages were sampled.
    pub(crate) asked: u64,
    /// The error of the local share, from 0 to 1, at 95 % confidence. If the local nodes are unknown, the error of the
    /// share on the node with most memory. `None` if no sampled page was present.
    pub(crate) error: Option<f64>,
    /// The same for the share on remote nodes.
    pub(crate) remote_error: Option<f64>,
}

/// The working memory by locality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// On local nodes, or on the GPU itself.
    pub(crate) local: Bytes,
    /// On near and remote nodes.
    pub(crate) off: Bytes,
    /// On remote nodes only.
    pub(crate) remote: Bytes,
    /// The whole working memory.
    pub(crate) all: Bytes,
}

impl Share {
    /// From 0 to 1; `None` if there is no working memory.
    pub(crate) fn local_fraction(&self) -> Option<f64> {
        (self.all.0 > 0).then(|| self.local.0 as f64 / self.all.0 as f64)
    }
}

/// Places the memory of a process.
pub(crate) fn place(
    process: &Process,
    holds_context: bool,
    local: &LocalNodes,
    limits: &Limits,
) -> MemoryPlace {
    let pages = process.memory.as_ref();
    let pages = pages.map(|memory| pages_of(memory, holds_context, local));
    MemoryPlace {
        mems_allowed: process.mems_allowed.clone(),
        verdict: Some(verdict(pages.as_ref(), local, limits)),
        pages,
    }
}

fn pages_of(memory: &Memory, holds_context: bool, local: &LocalNodes) -> PagePlace {
    let mut by_kind: BTreeMap<MemoryKind, NodeBytes> = BTreeMap::new();
    for (backing, by_node) in &memory.pages {
        let kind = by_kind
            .entry(MemoryKind::of(*backing, holds_context))
            .or_default();
        add(kind, by_node);
    }
    let mut by_node = NodeBytes::new();
    let working = by_kind
        .iter()
        .filter(|(kind, _)| **kind != MemoryKind::File);
    working.for_each(|(_, pages)| add(&mut by_node, pages));
    let is_local_known = local.is_memory_known();
    let locality: BTreeMap<NodeId, Locality> = by_node
        .keys()
        .filter(|_| is_local_known)
        .map(|node| (*node, local.memory_locality(*node)))
        .collect();
    // `max_by_key` returns the last of equal ones: the lowest node, in reverse order.
    let most = by_node.iter().rev().max_by_key(|(_, bytes)| **bytes);
    let most = most.map(|(node, _)| *node);
    PagePlace {
        policy: memory.policy.clone(),
        thread_policies: memory.thread_policies.clone(),
        estimate: match &memory.exactness {
            Exactness::Exact => None,
            Exactness::Sampled(sample) => Some(estimate(sample, memory, local, most)),
        },
        node: most,
        share: is_local_known.then(|| share(&by_node, &locality)),
        locality,
        by_node,
        by_kind,
    }
}

fn share(by_node: &NodeBytes, locality: &BTreeMap<NodeId, Locality>) -> Share {
    let at_least = |far: Locality| {
        let there = by_node
            .iter()
            .filter(|(node, _)| locality.get(node) >= Some(&far));
        there.map(|(_, bytes)| *bytes).sum::<Bytes>()
    };
    let all = at_least(Locality::Local);
    let off = at_least(Locality::Near);
    Share {
        local: Bytes(all.0 - off.0),
        off,
        remote: at_least(Locality::Remote),
        all,
    }
}

/// `most`: the node with most of the memory.
fn estimate(
    sample: &Sample,
    memory: &Memory,
    local: &LocalNodes,
    most: Option<NodeId>,
) -> Estimate {
    let is_counted = |node: NodeId| {
        if local.nodes.is_empty() {
            most == Some(node)
        } else {
            local.memory_locality(node) == Locality::Local
        }
    };
    Estimate {
        asked: sample.asked(),
        error: error_of(sample, &memory.pages, is_counted),
        remote_error: error_of(sample, &memory.pages, |node| {
            local.memory_locality(node) == Locality::Remote
        }),
    }
}

fn add(sum: &mut NodeBytes, pages: &NodeBytes) {
    for (node, bytes) in pages {
        let of_node = sum.entry(*node).or_default();
        *of_node = [*of_node, *bytes].into_iter().sum();
    }
}

fn verdict(pages: Option<&PagePlace>, local: &LocalNodes, limits: &Limits) -> Verdict {
    let Some(pages) = pages else {
        return Verdict::Unknown;
    };
    if local.is_single_node() {
        return Verdict::SingleNode;
    }
    match pages.share {
        None => Verdict::Unknown,
        Some(share) if limits.exceeds(share.remote, share.all) => Verdict::Mismatch,
        Some(share) if limits.exceeds(share.off, share.all) => Verdict::AtRisk,
        Some(_) => Verdict::Ok,
    }
}

impl MemoryPlace {
    /// Whether the error of an estimate is too large to say on which side of a limit the memory is. The verdict uses the most
    /// likely value.
    pub(crate) fn is_near_limit(&self, limits: &Limits) -> bool {
        let is_judged = self
            .verdict
            .is_some_and(|verdict| verdict != Verdict::SingleNode);
        let pages = self.pages.as_ref().filter(|_| is_judged);
        let parts = pages.and_then(|pages| Some((pages.share?, pages.estimate?)));
        parts.is_some_and(|(share, estimate)| is_near_limit(share, estimate, limits))
    }
}

fn is_near_limit(share: Share, estimate: Estimate, limits: &Limits) -> bool {
    let is_open = |part: Bytes, error: Option<f64>| {
        // The error is missing only if there is no memory.
        let error = Bytes((share.all.0 as f64 * error.unwrap_or(0.0)) as u64);
        let least = Bytes(part.0.saturating_sub(error.0));
        let most = Bytes(part.0.saturating_add(error.0).min(share.all.0));
        limits.exceeds(least, share.all) != limits.exceeds(most, share.all)
    };
    is_open(share.off, estimate.error) || is_open(share.remote, estimate.remote_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_near_the_limit_does_not_decide() {
        let is_near = |off_mib: u64, remote_mib: u64, error| {
            let [local, off, remote, all] =
                [1000 - off_mib, off_mib, remote_mib, 1000].map(|mib| Bytes(mib << 20));
            let share = Share {
                local,
                off,
                remote,
                all,
            };
            let estimate = Estimate {
                asked: 2048,
                error: Some(error),
                remote_error: Some(error),
            };
            is_near_limit(share, estimate, &Limits::default())
        };
        assert!(is_near(95, 95, 0.01) && is_near(105, 105, 0.01));
        assert!(is_near(300, 95, 0.01), "on another socket");
        assert!(!is_near(80, 80, 0.01) && !is_near(120, 120, 0.01));
        assert!(!is_near(95, 95, 0.0));
        assert!(is_near(0, 0, 1.0));
    }
}
