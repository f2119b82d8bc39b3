//! What does not fit, and what a plan assumes.

use std::collections::{BTreeMap, BTreeSet};

use super::{PlanRequest, cpus_of, node_of};
use crate::document::{Document, GpuEntry, PlanDocument, PlannedRank};
use crate::units::{CpuSet, NodeSet, node_list, ranges};

pub(super) fn notes(plan: &PlanDocument, map: &Document, request: &PlanRequest) -> Vec<String> {
    let gpu = |rank: &PlannedRank| map.topology.gpus.iter().find(|gpu| gpu.index == rank.gpu);
    let planned: Vec<(&PlannedRank, &GpuEntry)> = plan
        .ranks
        .iter()
        .filter_map(|rank| Some((rank, gpu(rank)?)))
        .collect();
    let mut notes = crowded(plan, map);
    notes.extend(other_homes(&planned));
    notes.extend(cuda_order(&planned));
    notes.extend(left_out(map, request, &planned));
    notes
}

/// How crowded some CPUs are. Ranks that are alike in this share a note.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crowd {
    /// How many ranks may run on the same CPUs.
    ranks: usize,
    /// The processes of all of these, with loaders.
    processes: usize,
    cpus: usize,
}

impl Crowd {
    /// Whether an audit would report it: cpus-crowded, or node-crowded where the CPUs are all of their nodes.
    fn is_too_many(&self, is_whole_nodes: bool) -> bool {
        // A trainer waits for its GPU most of the time. But it has more busy threads than one CPU can run.
        let room = self.cpus + usize::from(!is_whole_nodes);
        self.processes > room || self.cpus == 1
    }
}

/// More busy processes than CPUs: binding then costs more than it brings.
fn crowded(plan: &PlanDocument, map: &Document) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&PlannedRank>> = BTreeMap::new();
    for rank in &plan.ranks {
        groups.entry(rank.cpus.to_string()).or_default().push(rank);
    }
    let mut crowds: BTreeMap<Crowd, Vec<Vec<u32>>> = BTreeMap::new();
    for ranks in groups.into_values() {
        let crowd = Crowd {
            ranks: ranks.len(),
            processes: ranks.len() * (1 + plan.workers as usize),
            cpus: ranks[0].cpus.iter().count(),
        };
        if crowd.is_too_many(is_whole_nodes(&ranks[0].cpus, map)) {
            let numbers = ranks.iter().map(|rank| rank.rank);
            crowds.entry(crowd).or_default().push(numbers.collect());
        }
    }
    let notes = crowds.into_iter();
    notes
        .map(|(crowd, groups)| crowd_note(&crowd, groups))
        .collect()
}

fn is_whole_nodes(cpus: &CpuSet, map: &Document) -> bool {
    let nodes: NodeSet = cpus.iter().filter_map(|cpu| node_of(cpu, map)).collect();
    cpus_of(&nodes, map) == *cpus
}

fn crowd_note(crowd: &Crowd, mut groups: Vec<Vec<u32>>) -> String {
    groups.sort();
    let who = if crowd.ranks == 1 {
        let mut numbers: Vec<u32> = groups.concat();
        numbers.sort_unstable();
        match numbers.as_slice() {
            [one] => format!("rank {one} has"),
            several => format!("each of ranks {} has", ranges(several.iter().copied())),
        }
    } else {
        let groups = groups.into_iter().map(ranges);
        let groups: Vec<String> = groups
            .map(|ranks| format!("ranks {ranks} together"))
            .collect();
        let comma = if groups.len() == 1 { "" } else { "," };
        format!("{}{comma} have", groups.join(", and "))
    };
    let (processes, cpus) = (
        counted(crowd.processes, "busy process", "busy processes"),
        counted(crowd.cpus, "CPU", "CPUs"),
    );
    match crowd.processes {
        1 => format!("{who} {processes} for {cpus}: a rank has more busy threads than that"),
        _ => format!(
            "{who} {processes} for {cpus}: bound there they wait for each other; use fewer workers, or leave them unbound and compare"
        ),
    }
}

fn counted(count: usize, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
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
