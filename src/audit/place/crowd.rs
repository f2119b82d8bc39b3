//! CPU affinities that more processes share than they have CPUs.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::machine::Topology;
use crate::units::CpuSet;
use crate::words::Role;

/// The processes that may run on exactly these CPUs.
#[derive(Debug)]
pub(crate) struct SharedMask {
    /// Online CPUs.
    pub(crate) cpus: CpuSet,
    /// Their indexes.
    pub(crate) members: Vec<usize>,
}

/// The crowded masks of trainers and workers. Masks of whole nodes are not among them: binding to a node is right, and the rule
/// node-crowded is about it.
pub(crate) fn crowded_masks(processes: &[PlacedProcess], topology: &Topology) -> Vec<SharedMask> {
    if !topology.is_whole() {
        return Vec::new();
    }
    let masks = shared_masks(processes, topology).into_iter();
    masks
        .filter(|mask| is_crowded(mask, processes, topology))
        .collect()
}

fn shared_masks(processes: &[PlacedProcess], topology: &Topology) -> Vec<SharedMask> {
    let mut masks: BTreeMap<String, SharedMask> = BTreeMap::new();
    for (index, placed) in processes.iter().enumerate() {
        if !placed.is_judged() || placed.membership.gpus.is_empty() {
            continue;
        }
        let allowed = placed.cpu.affinity.iter().flat_map(CpuSet::iter);
        let cpus: CpuSet = allowed
            .filter(|cpu| topology.node_of(*cpu).is_some())
            .collect();
        if !cpus.is_empty() {
            let mask = masks.entry(cpus.to_string()).or_insert(SharedMask {
                cpus,
                members: Vec::new(),
            });
            mask.members.push(index);
        }
    }
    masks.into_values().collect()
}

fn is_crowded(mask: &SharedMask, processes: &[PlacedProcess], topology: &Topology) -> bool {
    let cpus = mask.cpus.iter().count();
    let mut members = mask.members.iter().map(|index| &processes[*index]);
    let has_trainer = members.any(|of| of.membership.role == Some(Role::Trainer));
    // A trainer has more busy threads than one CPU can run.
    let is_one_cpu = cpus == 1 && has_trainer;
    // A trainer waits for its GPU most of the time: with one worker for each CPU it is as PyTorch recommends.
    let room = cpus + usize::from(has_trainer);
    let nodes = topology.nodes_of(&mask.cpus);
    let of_nodes = nodes.iter().filter_map(|id| topology.nodes().get(id));
    let whole: CpuSet = of_nodes
        .filter_map(|node| node.cpus.as_ref())
        .flat_map(CpuSet::iter)
        .collect();
    (mask.members.len() > room || is_one_cpu) && mask.cpus != whole
}
