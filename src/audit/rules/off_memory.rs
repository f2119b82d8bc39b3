//! Memory that lies off the local nodes, in numbers and in words.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Value};
use crate::audit::place::memory::{MemoryKind, PagePlace};
use crate::audit::place::verdict::Locality;
use crate::audit::rules::words::{on_nodes, subject};
use crate::units::{Bytes, NodeBytes, NodeId, NodeSet};

/// Of a group of processes: what they have off their local nodes, as far as a locality and farther. Processes share
/// pages, so that sums over them would count some twice: the largest stands for all.
pub(crate) struct OffMemory {
    /// Where it lies.
    pub from: NodeSet,
    /// Of the process that has most.
    pub largest: Bytes,
    /// Of the working memory, of the process that has the greatest share there.
    share: (f64, String),
    kinds: BTreeMap<MemoryKind, Bytes>,
    is_estimate: bool,
}

impl OffMemory {
    pub fn of(group: &[&PlacedProcess], least: Locality) -> Self {
        let mut from = BTreeSet::<NodeId>::new();
        let mut kinds: BTreeMap<MemoryKind, Bytes> = BTreeMap::new();
        let (mut largest, mut share) = (Bytes(0), (0.0, String::new()));
        let mut is_estimate = false;
        for pages in group
            .iter()
            .filter_map(|audited| audited.memory.pages.as_ref())
        {
            is_estimate |= pages.estimate.is_some();
            let off = off(pages, &pages.by_node, least);
            let all: Bytes = pages.by_node.values().copied().sum();
            from.extend(
                pages
                    .by_node
                    .keys()
                    .filter(|node| is_off(pages, node, least)),
            );
            largest = largest.max(off);
            let fraction = off.0 as f64 / all.0.max(1) as f64;
            if fraction >= share.0 {
                share = (fraction, off.percent_of(all));
            }
            for (kind, by_node) in pages
                .by_kind
                .iter()
                .filter(|(kind, _)| **kind != MemoryKind::File)
            {
                let of_kind = kinds.entry(*kind).or_default();
                *of_kind = (*of_kind).max(self::off(pages, by_node, least));
            }
        }
        kinds.retain(|_, bytes| bytes.0 > 0);
        Self {
            from,
            largest,
            share,
            kinds,
            is_estimate,
        }
    }

    /// `GPU 0 hangs on node 0, trainer 254 has 100% of the working memory on node 1 (80 MiB: anonymous 56 MiB, pinned 24
    /// MiB)`
    pub fn sentence(&self, group: &[&PlacedProcess]) -> String {
        let kinds = self
            .kinds
            .iter()
            .map(|(kind, bytes)| format!("{kind} {bytes}"));
        let kinds: Vec<String> = kinds.collect();
        let (have, up_to, each) = match group {
            [_] => ("has", "", ""),
            _ => ("have", "up to ", " each"),
        };
        let about = if self.is_estimate { "about " } else { "" };
        format!(
            "{} {have} {up_to}{about}{} of the working memory on {} ({up_to}{}{each}: {})",
            subject(group),
            self.share.1,
            on_nodes(&self.from),
            self.largest,
            kinds.join(", "),
        )
    }

    pub fn evidence(&self) -> Evidence {
        let mut evidence = Evidence::from([
            ("memory_nodes", Value::Nodes(self.from.clone())),
            ("most_bytes", Value::Bytes(self.largest)),
            ("most_share", Value::Share(self.share.0)),
        ]);
        for (kind, name) in [
            (MemoryKind::Anonymous, "most_anonymous_bytes"),
            (MemoryKind::Pinned, "most_pinned_bytes"),
            (MemoryKind::Shared, "most_shared_bytes"),
            (MemoryKind::Huge, "most_huge_bytes"),
            (MemoryKind::Managed, "most_managed_bytes"),
        ] {
            evidence.extend(
                self.kinds
                    .get(&kind)
                    .map(|bytes| (name, Value::Bytes(*bytes))),
            );
        }
        evidence
    }
}

fn is_off(pages: &PagePlace, node: &NodeId, least: Locality) -> bool {
    pages.locality.get(node) >= Some(&least)
}

/// How much of it is that far off.
pub(crate) fn off(pages: &PagePlace, by_node: &NodeBytes, least: Locality) -> Bytes {
    let off = by_node
        .iter()
        .filter(|(node, _)| is_off(pages, node, least));
    off.map(|(_, bytes)| *bytes).sum()
}
