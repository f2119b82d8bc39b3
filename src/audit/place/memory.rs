//! Where a process's memory lies.

use std::collections::BTreeMap;

use crate::audit::place::sampling_error::error_of;
use crate::audit::place::verdict::{Judged, Locality, Verdict};
use crate::audit::{Limits, PlacedProcess};
pub use crate::document::words::MemoryKind;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::memory::{Backing, Exactness, Memory, Policy, Sample};
use crate::machine::process::Process;
use crate::units::{Bytes, NodeBytes, NodeId, NodeSet};

impl MemoryKind {
    /// The driver's pinned memory shows as any shared anonymous mapping does; it is pinned where the
    /// process holds a GPU context.
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

/// A process's memory side.
#[derive(Debug, Clone)]
pub struct MemoryPlace {
    /// The nodes that the cpuset leaves it.
    pub mems_allowed: Option<NodeSet>,
    /// `None` where they could not be read.
    pub pages: Option<PagePlace>,
    /// `None` for a process that is not judged.
    pub verdict: Option<Verdict>,
}

/// A process's pages.
#[derive(Debug, Clone)]
pub struct PagePlace {
    /// The main thread's policy.
    pub policy: Policy,
    /// The policies of its threads, and how many of those that were asked have each; empty where nobody asked.
    pub thread_policies: BTreeMap<Policy, usize>,
    /// The node with most of the working memory, the lowest of equals; `None` where it has none.
    pub node: Option<NodeId>,
    /// The working memory: every kind but `file`.
    pub by_node: NodeBytes,
    /// How far each of these nodes is; empty where the local nodes are not known.
    pub locality: BTreeMap<NodeId, Locality>,
    /// All memory.
    pub by_kind: BTreeMap<MemoryKind, NodeBytes>,
    /// The working memory against the local nodes; `None` where these are not known.
    pub share: Option<Share>,
    /// How all this was estimated; `None` where every page was counted.
    pub estimate: Option<Estimate>,
}

/// How a sample of pages stands for all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// How many pages were asked.
    pub asked: u64,
    /// By how much the local share may be off, from 0 to 1, in 95 cases of 100; where the local nodes are not known, the share
    /// on the node with most. `None` where no page was there.
    pub error: Option<f64>,
    /// The same of the share on another socket.
    pub remote_error: Option<f64>,
}

/// How much of a working memory is where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// On the local nodes, or on the GPU itself.
    pub local: Bytes,
    /// Elsewhere.
    pub off: Bytes,
    /// Of that: on another socket.
    pub remote: Bytes,
    /// All of it.
    pub all: Bytes,
}

impl Share {
    /// From 0 to 1; `None` where there is no memory.
    pub fn local_fraction(&self) -> Option<f64> {
        (self.all.0 > 0).then(|| self.local.0 as f64 / self.all.0 as f64)
    }
}

/// Looks at a process's memory.
pub fn place(
    process: &Process,
    holds_context: bool,
    judged: &Judged,
    limits: &Limits,
) -> MemoryPlace {
    let pages = process.memory.as_ref();
    let pages = pages.map(|memory| pages_of(memory, holds_context, judged));
    MemoryPlace {
        mems_allowed: process.mems_allowed.clone(),
        verdict: Some(verdict(pages.as_ref(), judged, limits)),
        pages,
    }
}

fn pages_of(memory: &Memory, holds_context: bool, judged: &Judged) -> PagePlace {
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
    let locality: BTreeMap<NodeId, Locality> = match judged.local.is_empty() {
        true => BTreeMap::new(),
        false => by_node
            .keys()
            .map(|node| (*node, judged.locality(*node)))
            .collect(),
    };
    let at_least = |far: Locality| {
        let there = by_node
            .iter()
            .filter(|(node, _)| locality.get(node) >= Some(&far));
        there.map(|(_, bytes)| *bytes).sum::<Bytes>()
    };
    let all = at_least(Locality::Local);
    let off = at_least(Locality::Near);
    let share = Share {
        local: Bytes(all.0 - off.0),
        off,
        remote: at_least(Locality::Remote),
        all,
    };
    // The last of the greatest, counted from behind, is the lowest node.
    let most = by_node.iter().rev().max_by_key(|(_, bytes)| **bytes);
    let is_home = |node: NodeId| match judged.local.is_empty() {
        true => most.is_some_and(|(most, _)| *most == node),
        false => judged.locality(node) == Locality::Local,
    };
    let estimate = |sample: &Sample| Estimate {
        asked: sample.asked(),
        error: error_of(sample, &memory.pages, is_home),
        remote_error: error_of(sample, &memory.pages, |node| {
            judged.locality(node) == Locality::Remote
        }),
    };
    PagePlace {
        policy: memory.policy.clone(),
        thread_policies: memory.thread_policies.clone(),
        estimate: match &memory.exactness {
            Exactness::Exact => None,
            Exactness::Sampled(sample) => Some(estimate(sample)),
        },
        node: most.map(|(node, _)| *node),
        locality,
        share: (!judged.local.is_empty()).then_some(share),
        by_node,
        by_kind,
    }
}

fn add(sum: &mut NodeBytes, pages: &NodeBytes) {
    for (node, bytes) in pages {
        let of_node = sum.entry(*node).or_default();
        *of_node = [*of_node, *bytes].into_iter().sum();
    }
}

fn verdict(pages: Option<&PagePlace>, judged: &Judged, limits: &Limits) -> Verdict {
    let Some(pages) = pages else {
        return Verdict::Unknown;
    };
    if judged.is_single_node() {
        return Verdict::SingleNode;
    }
    match pages.share {
        None => Verdict::Unknown,
        Some(share) if limits.exceeds(share.remote, share.all) => Verdict::Mismatch,
        Some(share) if limits.exceeds(share.off, share.all) => Verdict::AtRisk,
        Some(_) => Verdict::Ok,
    }
}

/// Says of an estimate that it does not tell on which side of a limit the memory is. It is judged by what is most likely.
pub fn near_limit(audited: &PlacedProcess, limits: &Limits) -> Option<Gap> {
    let is_judged = audited.is_judged() && audited.memory.verdict != Some(Verdict::SingleNode);
    let pages = audited.memory.pages.as_ref().filter(|_| is_judged)?;
    is_near_limit(pages.share?, pages.estimate?, limits).then(|| Gap {
        pid: Some(audited.process.pid),
        fact: Fact::MemoryLimit,
        reason: Reason::Failed(
            "its memory was estimated, and the limit lies within the error; --memory exact decides"
                .into(),
        ),
    })
}

fn is_near_limit(share: Share, estimate: Estimate, limits: &Limits) -> bool {
    let is_open = |part: Bytes, error: Option<f64>| {
        // Without an error there is no memory.
        let error = Bytes((share.all.0 as f64 * error.unwrap_or(0.0)) as u64);
        let least = Bytes(part.0.saturating_sub(error.0));
        let most = Bytes(part.0.saturating_add(error.0).min(share.all.0));
        limits.exceeds(least, share.all) != limits.exceeds(most, share.all)
    };
    is_open(share.off, estimate.error) || is_open(share.remote, estimate.remote_error)
}

impl Limits {
    /// Whether so much of a working memory off the local nodes is more than both limits.
    pub fn exceeds(&self, off: Bytes, all: Bytes) -> bool {
        let share = u128::from(off.0) * 100;
        off > self.remote_bytes && share > u128::from(all.0) * u128::from(self.remote_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_near_the_limit_leaves_it_open() {
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
