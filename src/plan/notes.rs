//! What does not fit, and what a plan assumes.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlanRequest, node_of};
use crate::document::{Document, GpuEntry, PlanDocument, PlannedRank};
use crate::units::{CpuSet, node_list, ranges};

pub(super) fn notes(plan: &PlanDocument, map: &Document, request: &PlanRequest) -> Vec<String> {
    let gpu = |rank: &PlannedRank| map.topology.gpus.iter().find(|gpu| gpu.index == rank.gpu);
    let planned: Vec<(&PlannedRank, &GpuEntry)> = plan
        .ranks
        .iter()
        .filter_map(|rank| Some((rank, gpu(rank)?)))
        .collect();
    let mut notes = crowded(plan);
    notes.extend(other_homes(&planned));
    notes.extend(cuda_order(&planned));
    notes.extend(left_out(map, request, &planned));
    notes
}

/// More busy processes than CPUs: binding then costs more than it brings.
fn crowded(plan: &PlanDocument) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&PlannedRank>> = BTreeMap::new();
    for rank in &plan.ranks {
        groups.entry(rank.cpus.to_string()).or_default().push(rank);
    }
    let mut notes = Vec::new();
    for (cpus, ranks) in groups {
        let count = ranks[0].cpus.iter().count();
        let processes = ranks.len() * (1 + plan.workers as usize);
        if processes > count {
            let whose = ranges(ranks.iter().map(|rank| rank.rank));
            notes.push(format!(
                "rank {whose}: {processes} busy processes for {count} CPUs ({cpus}): bound there they wait for each other; \
                 use fewer workers, or leave them unbound and compare"
            ));
        }
    }
    notes
}

/// GPUs whose own nodes have no CPUs or no memory.
fn other_homes(planned: &[(&PlannedRank, &GpuEntry)]) -> BTreeSet<String> {
    let mut notes = BTreeSet::new();
    for (rank, gpu) in planned {
        let home = node_list(&gpu.home_nodes);
        if gpu.home_nodes.is_disjoint(&gpu.local_nodes) {
            let near = node_list(&gpu.local_nodes);
            notes.insert(format!(
                "node {home} has no CPUs: its GPUs' ranks run on the nearest one, node {near}"
            ));
        }
        if gpu.home_nodes.is_disjoint(&rank.memory_nodes) {
            let near = node_list(&rank.memory_nodes);
            notes.insert(format!(
                "node {home} has no memory that may be used: its GPUs' ranks use node {near}"
            ));
        }
        if rank.node.is_none() {
            let nodes = node_list(&gpu.local_nodes);
            notes.insert(format!(
                "GPU {} is attached to nodes {nodes}: its rank may run on all of them",
                gpu.index
            ));
        }
        if !gpu.mig_devices.is_empty() || !gpu.partitions.is_empty() {
            notes.insert(format!(
                "GPU {} is partitioned: each process of a partition belongs where its rank is",
                gpu.index
            ));
        }
    }
    notes
}

/// Ranks count CUDA's devices, which need not be in NVML's order.
fn cuda_order(planned: &[(&PlannedRank, &GpuEntry)]) -> Option<String> {
    let models: BTreeSet<Option<&str>> =
        planned.iter().map(|(_, gpu)| gpu.name.as_deref()).collect();
    (models.len() > 1).then(|| {
        "the GPUs are of different models, which CUDA sorts by speed: set CUDA_DEVICE_ORDER=PCI_BUS_ID".to_owned()
    })
}

/// CPUs of the ranks' nodes that the plan does not use.
fn left_out(
    map: &Document,
    request: &PlanRequest,
    planned: &[(&PlannedRank, &GpuEntry)],
) -> Vec<String> {
    let nodes: BTreeSet<_> = planned
        .iter()
        .flat_map(|(_, gpu)| &gpu.local_nodes)
        .collect();
    let on_them = |cpus: &CpuSet| -> CpuSet {
        let is_there = |cpu: &_| node_of(*cpu, map).is_some_and(|node| nodes.contains(&node));
        cpus.iter().filter(is_there).collect()
    };
    let mut notes = Vec::new();
    match &map.topology.isolated_cpus {
        None => notes
            .push("it is unknown which CPUs are isolated: none is left out for that".to_owned()),
        Some(isolated) => {
            let isolated = on_them(isolated);
            if !isolated.is_empty() {
                notes.push(format!("the isolated CPUs {isolated} are left alone"));
            }
        }
    }
    let reserved = on_them(&request.reserved);
    if !reserved.is_empty() {
        notes.push(format!("the reserved CPUs {reserved} are left alone"));
    }
    if let Some(allowed) = &map.host.observer_cpus {
        let all = map
            .topology
            .nodes
            .iter()
            .filter_map(|node| node.cpus.as_ref());
        let all: CpuSet = all.flat_map(CpuSet::iter).collect();
        let outside: CpuSet = on_them(&all)
            .iter()
            .filter(|cpu| !allowed.contains(*cpu))
            .collect();
        if !outside.is_empty() {
            notes.push(format!(
                "the plan is for processes that start from here: this one may use only the CPUs {allowed}"
            ));
        }
    }
    notes
}
