//! Pinned memory, which holds the batches on their way to the GPU, is on another socket than the GPU: more than the limits
//! allow, of the pinned memory alone (--remote-percent, by default 10 % of it, and --remote-mib, by default 16 MiB).
//!
//! Why it costs: every batch crosses the interconnect. Pinned pages cannot migrate: neither the kernel nor migratepages
//! moves them. PyTorch keeps these buffers and reuses them, whichever node they are on.
//!
//! What it cannot know: memory that was pinned after its allocation (cudaHostRegister) looks like any other memory.
//!
//! What to do: bind the process, or at least its memory, before it pins memory. This requires a restart.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::{Locality, MemoryKind};
use crate::audit::rules::{Group, Rule, RuleContext, Violation, bind, bytes_at_least, node_names};
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
    let is_broken = |placed: &PlacedProcess| {
        PinnedMemory::of(placed).is_some_and(|of| context.limits.exceeds(of.remote, of.all))
    };
    let groups = context.groups(is_broken);
    groups
        .iter()
        .map(|group| violation(context, group))
        .collect()
}

fn violation(context: &RuleContext, group: &Group) -> Violation {
    let (most, nodes) = most_remote(group);
    let clauses = group.each_part(clause);
    let message =
        format!("{clauses}: every batch crosses the interconnect, and pinned pages cannot migrate");
    let evidence = Evidence::from([
        ("home_nodes", Value::Nodes(group.home_nodes())),
        ("memory_nodes", Value::Nodes(nodes)),
        ("most_pinned_bytes", Value::Bytes(most)),
    ]);
    let remedy = Remedy {
        commands: Vec::new(),
        note: "memory that is already pinned stays where it is until the process ends".to_owned(),
        ..bind(context, group)
    };
    Violation::by(group, message, evidence, remedy)
}

/// The most remote pinned memory of one process, and the nodes of all of it.
fn most_remote(group: &Group) -> (Bytes, NodeSet) {
    let pinned: Vec<PinnedMemory> = group.iter().filter_map(PinnedMemory::of).collect();
    let most = pinned.iter().map(|of| of.remote).max().unwrap_or_default();
    let nodes = pinned.iter().flat_map(|of| of.remote_nodes.clone());
    (most, nodes.collect())
}

fn clause(part: &Group) -> String {
    let (most, nodes) = most_remote(part);
    let mut pinned = part.iter().filter_map(PinnedMemory::of);
    let about = if pinned.any(|of| of.is_estimate) {
        "about "
    } else {
        ""
    };
    format!(
        "{} {} {about}{most} of pinned memory on {}",
        part.but(),
        part.agree("has", "have up to"),
        node_names(&nodes),
    )
}

/// The pinned memory of one process.
struct PinnedMemory {
    all: Bytes,
    remote: Bytes,
    remote_nodes: NodeSet,
    is_estimate: bool,
}

impl PinnedMemory {
    fn of(placed: &PlacedProcess) -> Option<Self> {
        let pages = placed.memory.pages.as_ref()?;
        let by_node = pages.by_kind.get(&MemoryKind::Pinned)?;
        let nodes = by_node.keys().copied();
        Some(Self {
            all: by_node.values().copied().sum(),
            remote: bytes_at_least(pages, by_node, Locality::Remote),
            remote_nodes: nodes
                .filter(|node| pages.locality.get(node) == Some(&Locality::Remote))
                .collect(),
            is_estimate: pages.estimate.is_some(),
        })
    }
}
