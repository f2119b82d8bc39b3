//! The targets of all processes: those of each by itself, and what the free memory of the nodes allows of them.

use crate::audit::PlacedProcess;
use crate::audit::target::draft::Draft;
use crate::audit::target::room::NodeRooms;
use crate::audit::target::{MemoryBinding, Target};
use crate::machine::Topology;
use crate::units::{Bytes, CpuSet, NodeSet};

/// Computes the targets of all judged processes whose local nodes are known. `gpu_memory` are the nodes that are memory of
/// GPUs. The scheduler does not spread threads over `isolated` CPUs.
pub(crate) fn set_targets(
    processes: &mut [PlacedProcess],
    topology: &Topology,
    gpu_memory: &NodeSet,
    isolated: &CpuSet,
) {
    let drafts: Vec<Option<Draft>> = processes
        .iter()
        .map(|placed| Draft::of(placed, topology, gpu_memory, isolated))
        .collect();
    let rooms = NodeRooms::of(&drafts, topology);
    let targets: Vec<Option<Target>> = drafts
        .into_iter()
        .map(|draft| Some(finish(draft?, &rooms)))
        .collect();
    for (placed, target) in processes.iter_mut().zip(targets) {
        placed.target = target;
    }
}

/// The target, with what the free memory of its nodes allows.
fn finish(draft: Draft, rooms: &NodeRooms) -> Target {
    let Draft {
        mut target, demand, ..
    } = draft;
    let room = rooms.room(&target.memory_nodes);
    let is_moving = demand.moving > Bytes(0);
    let is_full = is_moving && !room.can_move();
    if target.memory_binding == MemoryBinding::Possible && !room.can_bind() {
        target.memory_binding = MemoryBinding::TooSmall;
    }
    if is_full || (target.memory_binding == MemoryBinding::TooSmall && is_moving) {
        target.obstacles.push(room.obstacle(&target.memory_nodes));
    }
    let is_huge_stuck = demand.huge > Bytes(0) && !room.has_huge_pages();
    if is_huge_stuck {
        target
            .obstacles
            .push(room.huge_obstacle(&target.memory_nodes));
    }
    let can_move_huge = demand.huge > Bytes(0) && !is_huge_stuck;
    if (is_moving && !is_full) || (!is_moving && can_move_huge) {
        target.pages_from = demand.from;
    }
    target
}
