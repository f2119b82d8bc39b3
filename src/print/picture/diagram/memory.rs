//! The memory of the processes on a node: whose it is, by verdict.

use std::collections::BTreeMap;

use crate::document::{GpuEntry, ProcessEntry};
use crate::print::picture::diagram::{Grouped, place};
use crate::units::{Bytes, NodeId};
use crate::words::Verdict;

/// Whose memory a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::print::picture) enum Share {
    /// Of processes to which the node is local.
    Local,
    /// Of a machine with one node.
    Single,
    /// Of other nodes' processes, so little that it does not count.
    Slight,
    /// Of processes of which it is unknown whether it is local.
    Unknown,
    /// Of processes of a node of the same socket.
    Near,
    /// Of processes of another socket.
    Remote,
}

/// A node's memory in use by the processes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::print::picture) struct Bar {
    pub(in crate::print::picture) parts: BTreeMap<Share, Bytes>,
    /// Whether a part is an estimate.
    pub(in crate::print::picture) is_estimate: bool,
    /// Whether some process's memory is unknown, so that it may be here.
    pub(in crate::print::picture) is_open: bool,
    /// How many processes are drawn here whose memory is unknown.
    pub(in crate::print::picture) unknown: usize,
}

impl Bar {
    pub(in crate::print::picture) fn total(&self) -> Bytes {
        self.parts.values().copied().sum()
    }
}

/// The bar of a node without such memory.
pub(super) fn empty(grouped: &Grouped) -> Bar {
    let mut processes = grouped.teams.values().flatten();
    Bar {
        is_open: processes.any(|of| of.memory.by_node_bytes.is_none()),
        ..Bar::default()
    }
}

/// The bars of all nodes with such memory.
pub(super) fn bars(grouped: &Grouped) -> BTreeMap<NodeId, Bar> {
    let mut bars: BTreeMap<NodeId, Bar> = BTreeMap::new();
    for process in grouped.teams.values().flatten() {
        let gpus: Vec<&GpuEntry> = process
            .gpus
            .iter()
            .filter_map(|gpu| grouped.gpus.get(gpu).copied())
            .collect();
        let Some(by_node) = &process.memory.by_node_bytes else {
            let seat = || process.local_nodes.first().copied();
            if let Some(node) = place::node_of(process).or_else(seat) {
                bars.entry(node).or_default().unknown += 1;
            }

            continue;
        };
        for (node, bytes) in by_node {
            let bar = bars.entry(*node).or_default();
            let part = bar.parts.entry(share(process, &gpus, *node)).or_default();
            *part = [*part, *bytes].into_iter().sum();
            bar.is_estimate |= process.memory.is_estimate();
        }
    }
    bars
}

fn share(process: &ProcessEntry, gpus: &[&GpuEntry], node: NodeId) -> Share {
    let is_local = process
        .nodes_of_local_memory(gpus.iter().copied())
        .contains(&node);
    let is_near = || {
        gpus.iter().any(|gpu| {
            gpu.near_nodes
                .as_ref()
                .is_some_and(|near| near.contains(&node))
        })
    };
    let verdict = process
        .memory
        .verdict
        .as_ref()
        .and_then(crate::words::Word::known);
    match verdict {
        Some(Verdict::SingleNode) => Share::Single,
        _ if is_local => Share::Local,
        Some(Verdict::Ok) => Share::Slight,
        Some(Verdict::AtRisk) => Share::Near,
        Some(Verdict::Mismatch) if is_near() => Share::Near,
        Some(Verdict::Mismatch) => Share::Remote,
        Some(Verdict::Unknown) | None => Share::Unknown,
    }
}
