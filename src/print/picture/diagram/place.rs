//! Where GPUs and processes are.

use crate::document::{GpuEntry, ProcessEntry};
use crate::print::picture::diagram::Seat;
use crate::units::NodeId;

/// Where a GPU is drawn: where its processes should run. Empty where that is unknown.
pub(super) fn seat(gpu: Option<&GpuEntry>) -> Seat {
    let Some(gpu) = gpu else { return Seat::new() };
    match gpu.local_nodes.is_empty() {
        true => gpu.home_nodes.clone(),
        false => gpu.local_nodes.clone(),
    }
}

/// The node on which a process runs. One that is bound to its local nodes is there, wherever it last ran: it may have slept
/// since. `None` where it is unknown.
pub(super) fn node_of(process: &ProcessEntry) -> Option<NodeId> {
    let (may, local) = (&process.cpu.affinity_nodes, &process.local_nodes);
    let last = process.cpu.node;
    let last = last.filter(|node| may.is_empty() || may.contains(node));
    let is_bound = !may.is_empty() && !local.is_empty() && may.is_subset(local);
    match last {
        Some(node) if !is_bound || local.contains(&node) => Some(node),
        // It no longer may run where it last did.
        _ => may.intersection(local).next().or(may.first()).copied(),
    }
}
