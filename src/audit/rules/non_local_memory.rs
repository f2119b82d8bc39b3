//! Working memory on nodes that are not local: the words and the evidence of memory-remote and memory-near.

use std::collections::BTreeMap;

use crate::audit::finding::{Evidence, Value};
use crate::audit::place::{Locality, MemoryKind, PagePlace};
use crate::audit::rules::{Group, node_names};
use crate::units::{Bytes, NodeBytes, NodeId, NodeSet};

/// The working memory of a group on nodes of at least some locality. Processes share pages, so a sum over processes would
/// count some pages twice: each figure is that of the process with most.
pub(crate) struct NonLocalMemory {
    pub(crate) nodes: NodeSet,
    most: Bytes,
    /// From 0 to 1.
    most_share: f64,
    /// `most_share` as text.
    most_percent: String,
    most_by_kind: BTreeMap<MemoryKind, Bytes>,
    is_estimate: bool,
}

impl NonLocalMemory {
    pub(crate) fn of(group: &Group, least: Locality) -> Self {
        let mut memory = Self {
            nodes: NodeSet::new(),
            most: Bytes(0),
            most_share: 0.0,
            most_percent: String::new(),
            most_by_kind: BTreeMap::new(),
            is_estimate: false,
        };
        let all_pages = group
            .iter()
            .filter_map(|placed| placed.memory.pages.as_ref());
        for pages in all_pages {
            memory.add(pages, least);
        }
        memory.most_by_kind.retain(|_, bytes| bytes.0 > 0);
        memory
    }

    fn add(&mut self, pages: &PagePlace, least: Locality) {
        let nodes = pages.by_node.keys().copied();
        self.nodes
            .extend(nodes.filter(|node| is_at_least(pages, *node, least)));
        self.is_estimate |= pages.estimate.is_some();
        let bytes = bytes_at_least(pages, &pages.by_node, least);
        self.most = self.most.max(bytes);
        let all: Bytes = pages.by_node.values().copied().sum();
        let share = bytes.0 as f64 / all.0.max(1) as f64;
        if share >= self.most_share {
            (self.most_share, self.most_percent) = (share, bytes.percent_of(all));
        }
        for (kind, by_node) in &pages.by_kind {
            if *kind != MemoryKind::File {
                let most = self.most_by_kind.entry(*kind).or_default();
                *most = (*most).max(bytes_at_least(pages, by_node, least));
            }
        }
    }

    /// `GPU 0 is attached to node 0, but trainer 254 has 100% of its working memory on node 1 (80 MiB: anonymous 56 MiB,
    /// pinned 24 MiB)`
    pub(crate) fn sentence(&self, group: &Group) -> String {
        let kinds: Vec<String> = self
            .most_by_kind
            .iter()
            .map(|(kind, bytes)| format!("{kind} {bytes}"))
            .collect();
        let about = if self.is_estimate { "about " } else { "" };
        let Self {
            most, most_percent, ..
        } = self;
        format!(
            "{} {}{about}{most_percent} of {} working memory on {} ({}: {})",
            group.but(),
            group.agree("has ", "have up to "),
            group.agree("its", "their"),
            node_names(&self.nodes),
            if group.len() == 1 {
                most.to_string()
            } else {
                format!("at most {most} per process")
            },
            kinds.join(", "),
        )
    }

    /// What is said of this memory where it is the remote part of near and remote memory; nothing if there is none.
    pub(crate) fn as_part(&self) -> String {
        if self.most.0 == 0 {
            return String::new();
        }
        let about = if self.is_estimate { "about " } else { "" };
        format!(
            ", of it {about}{} on another socket ({}): near and remote memory count together",
            self.most,
            node_names(&self.nodes)
        )
    }

    pub(crate) fn evidence(&self, group: &Group) -> Evidence {
        let mut evidence = Evidence::from([
            ("home_nodes", Value::Nodes(group.home_nodes())),
            ("memory_nodes", Value::Nodes(self.nodes.clone())),
            ("most_bytes", Value::Bytes(self.most)),
            ("most_share", Value::Share(self.most_share)),
        ]);
        for (kind, name) in [
            (MemoryKind::Anonymous, "most_anonymous_bytes"),
            (MemoryKind::Pinned, "most_pinned_bytes"),
            (MemoryKind::Shared, "most_shared_bytes"),
            (MemoryKind::Huge, "most_huge_bytes"),
            (MemoryKind::Managed, "most_managed_bytes"),
        ] {
            let bytes = self.most_by_kind.get(&kind);
            evidence.extend(bytes.map(|bytes| (name, Value::Bytes(*bytes))));
        }
        evidence
    }
}

fn is_at_least(pages: &PagePlace, node: NodeId, least: Locality) -> bool {
    pages.locality.get(&node) >= Some(&least)
}

/// The part of `by_node` on nodes of at least this locality.
pub(crate) fn bytes_at_least(pages: &PagePlace, by_node: &NodeBytes, least: Locality) -> Bytes {
    by_node
        .iter()
        .filter(|(node, _)| is_at_least(pages, **node, least))
        .map(|(_, bytes)| *bytes)
        .sum()
}
