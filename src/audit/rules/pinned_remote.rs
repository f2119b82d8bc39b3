//! Pinned memory off the GPU's nodes: the buffers through which batches go to the GPU.
//!
//! Why it costs: every batch crosses the interconnect, and pinned pages cannot migrate: neither the kernel nor
//! migratepages moves them. PyTorch keeps such buffers and uses them again, whichever node they are on.
//!
//! What it cannot know: memory that was pinned after the fact (cudaHostRegister) looks like any other.
//!
//! What to do: bind the process, or at least its memory, before it pins any, and start it again.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::memory::MemoryKind;
use crate::audit::place::verdict::Locality;
use crate::audit::rules::off_memory::off;
use crate::audit::rules::remedy::bind;
use crate::audit::rules::words::{each, on_nodes, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::units::{Bytes, NodeSet};

pub(crate) const RULE: Rule = Rule {
    name: "pinned-remote",
    severity: Severity::Error,
    text: include_str!("pinned_remote.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() {
        return Vec::new();
    }
    let is_broken = |audited: &PlacedProcess| {
        let (remote, all, _) = pinned(audited);
        context.limits.exceeds(remote, all)
    };
    let groups = context.groups(is_broken);
    let broken = groups.into_iter().map(|group| {
        let largest = group.iter().map(|audited| pinned(audited).0).max().unwrap_or_default();
        let nodes: NodeSet = group.iter().flat_map(|audited| pinned(audited).2).collect();
        let is_estimate = group.iter().any(|audited| is_estimated(audited));
        let about = if is_estimate { "about " } else { "" };
        Violation::by(
            &group,
            format!(
                "{} {} {about}{largest} pinned on {}: every batch crosses the interconnect, and it cannot migrate",
                subject(&group),
                each(&group, "has", "have up to"),
                on_nodes(&nodes),
            ),
            Evidence::from([
                ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
                ("memory_nodes", Value::Nodes(nodes)),
                ("most_pinned_bytes", Value::Bytes(largest)),
            ]),
            Remedy {
                commands: Vec::new(),
                note: "what is pinned already stays until the process ends".to_owned(),
                ..bind(context, &group)
            },
        )
    });
    broken.collect()
}

/// Pinned memory on another socket, all that is pinned, and the nodes of the former.
fn pinned(audited: &PlacedProcess) -> (Bytes, Bytes, NodeSet) {
    let pages = audited.memory.pages.as_ref();
    let by_node = pages.and_then(|pages| pages.by_kind.get(&MemoryKind::Pinned));
    let (Some(pages), Some(by_node)) = (pages, by_node) else {
        return Default::default();
    };
    let is_remote = |node| pages.locality.get(node) == Some(&Locality::Remote);
    let nodes = by_node.keys().filter(|node| is_remote(node)).copied();
    (
        off(pages, by_node, Locality::Remote),
        by_node.values().copied().sum(),
        nodes.collect(),
    )
}

fn is_estimated(audited: &PlacedProcess) -> bool {
    let pages = audited.memory.pages.as_ref();
    pages.is_some_and(|pages| pages.estimate.is_some())
}
