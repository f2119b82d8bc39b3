//! Before a job starts: where each of its ranks should run. Pure: a plan is made from a map, and read by `print` and by
//! `--expect`.
//!
//! Nothing is guessed. Where the right CPUs of a rank are unknown, or none is left for it, there is no plan at all: ranks that
//! are bound next to ranks that are not would be worse than a job without any binding.

mod deal;
mod notes;
mod order;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::document::{Document, GpuEntry, PLAN_SCHEMA_VERSION, PlanDocument, PlannedRank, Tool};
use crate::units::{Cpu, CpuSet, NodeId, NodeSet, node_list};

pub(crate) use order::{GpuOrder, ranks_in_order};

/// What is to be planned.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanRequest {
    /// The indexes of the GPUs, in the order of the ranks. Not empty, each once.
    pub(crate) gpus: Vec<u32>,
    /// The loader processes of each rank.
    pub(crate) workers: u32,
    /// Whether each rank gets cores of its own.
    pub(crate) exclusive: bool,
    /// CPUs that are left alone.
    pub(crate) reserved: CpuSet,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoPlan {
    /// Something has to be known first. One sentence for each fact.
    Unknown(Vec<String>),
    /// It cannot be done here. One sentence for each obstacle.
    Impossible(Vec<String>),
}

/// Where a rank may run, before cores are dealt.
#[derive(Debug, Clone)]
struct RankPlace<'a> {
    gpu: &'a GpuEntry,
    /// Its local nodes.
    nodes: NodeSet,
    /// The CPUs of these that the job may use. Not empty.
    cpus: CpuSet,
    /// The nodes for its memory. Not empty.
    memory_nodes: NodeSet,
}

/// The plan for a machine of which this is the map.
///
/// # Errors
/// Where a rank has no right place, or it is unknown.
pub(crate) fn plan(map: &Document, request: &PlanRequest) -> Result<PlanDocument, NoPlan> {
    let usable = UsableCpus::of(map, request);
    let (mut places, mut unknown, mut impossible) = (Vec::new(), Vec::new(), Vec::new());
    for index in &request.gpus {
        match place(*index, map, &usable) {
            Ok(place) => places.push(place),
            Err(NoPlan::Unknown(why)) => unknown.extend(why),
            Err(NoPlan::Impossible(why)) => impossible.extend(why),
        }
    }
    if !unknown.is_empty() {
        return Err(NoPlan::Unknown(unknown));
    }
    if !impossible.is_empty() {
        return Err(NoPlan::Impossible(impossible));
    }
    let shares = match request.exclusive {
        true => deal::cores(&places, map)?,
        false => places.iter().map(|place| place.cpus.clone()).collect(),
    };
    let ranks = (0..).zip(places.iter().zip(&shares));
    let ranks = ranks.map(|(rank, (place, cpus))| planned(rank, place, cpus, map, request));
    let mut plan = PlanDocument {
        schema_version: PLAN_SCHEMA_VERSION,
        tool: Tool::this(),
        hostname: map.host.hostname.clone(),
        workers: request.workers,
        exclusive: request.exclusive,
        reserved_cpus: request.reserved.clone(),
        ranks: ranks.collect(),
        notes: Vec::new(),
    };
    plan.notes = notes::notes(&plan, map, request);
    Ok(plan)
}

/// The CPUs and memory nodes that the job may use.
struct UsableCpus<'a> {
    map: &'a Document,
    reserved: &'a CpuSet,
}

impl<'a> UsableCpus<'a> {
    fn of(map: &'a Document, request: &'a PlanRequest) -> Self {
        let reserved = &request.reserved;
        Self { map, reserved }
    }

    /// Why the job may not use a CPU; `None` where it may.
    fn obstacle(&self, cpu: Cpu) -> Option<&'static str> {
        let isolated = self.map.topology.isolated_cpus.as_ref();
        let allowed = self.map.host.observer_cpus.as_ref();
        if allowed.is_some_and(|allowed| !allowed.contains(cpu)) {
            Some("outside of the CPUs that this process may use (cpuset, allocation or taskset)")
        } else if isolated.is_some_and(|isolated| isolated.contains(cpu)) {
            Some("isolated from the scheduler")
        } else if self.reserved.contains(cpu) {
            Some("reserved with --reserve")
        } else {
            None
        }
    }

    /// The usable CPUs of these, or why there is none.
    fn among(&self, cpus: &CpuSet) -> Result<CpuSet, String> {
        let usable = cpus.iter().filter(|cpu| self.obstacle(*cpu).is_none());
        let usable: CpuSet = usable.collect();
        if !usable.is_empty() {
            return Ok(usable);
        }
        let why: BTreeSet<&str> = cpus.iter().filter_map(|cpu| self.obstacle(cpu)).collect();
        Err(why.into_iter().collect::<Vec<_>>().join(", or "))
    }
}

fn place<'a>(index: u32, map: &'a Document, usable: &UsableCpus) -> Result<RankPlace<'a>, NoPlan> {
    let unknown = |why: String| NoPlan::Unknown(vec![why]);
    let impossible = |why: String| NoPlan::Impossible(vec![why]);
    let gpus = &map.topology.gpus;
    let gpu = gpus.iter().find(|gpu| gpu.index == index);
    let gpu = gpu.ok_or_else(|| unknown(format!("GPU {index} is not known here")))?;
    if gpu.home_nodes.is_empty() {
        return Err(unknown(format!(
            "GPU {index}: its home node is unknown; --gpu-node {index}=NODE sets it"
        )));
    }
    if gpu.local_nodes.is_empty() {
        return Err(unknown(format!(
            "GPU {index}: node {} has no CPUs, and the nearest node with CPUs is unknown",
            node_list(&gpu.home_nodes)
        )));
    }
    let local = cpus_of(&gpu.local_nodes, map);
    let on = node_list(&gpu.local_nodes);
    if local.is_empty() {
        return Err(unknown(format!(
            "GPU {index}: the CPUs of node {on} are unknown"
        )));
    }
    let cpus = usable.among(&local).map_err(|why| {
        impossible(format!(
            "GPU {index}: all CPUs of node {on} ({local}) are {why}"
        ))
    })?;
    let memory_nodes = memory_nodes(gpu, map)?;
    let nodes = gpu.local_nodes.clone();
    Ok(RankPlace {
        gpu,
        nodes,
        cpus,
        memory_nodes,
    })
}

fn memory_nodes(gpu: &GpuEntry, map: &Document) -> Result<NodeSet, NoPlan> {
    let index = gpu.index;
    let local = gpu.local_memory_nodes.as_ref();
    let Some(local) = local.filter(|nodes| !nodes.is_empty()) else {
        let why = format!("GPU {index}: the nearest node with memory is unknown");
        return Err(NoPlan::Unknown(vec![why]));
    };
    let Some(allowed) = &map.host.observer_memory_nodes else {
        return Ok(local.clone());
    };
    let nodes: NodeSet = local.intersection(allowed).copied().collect();
    match nodes.is_empty() {
        false => Ok(nodes),
        true => Err(NoPlan::Impossible(vec![format!(
            "GPU {index}: its memory belongs on node {}, and the cpuset of this process allows only memory of {}",
            node_list(local),
            node_list(allowed)
        )])),
    }
}

fn planned(
    rank: u32,
    place: &RankPlace,
    cpus: &CpuSet,
    map: &Document,
    request: &PlanRequest,
) -> PlannedRank {
    let node = |nodes: &NodeSet| match nodes.len() {
        1 => nodes.first().copied(),
        _ => None,
    };
    PlannedRank {
        rank,
        gpu: place.gpu.index,
        uuid: place.gpu.uuid.clone(),
        pci_bus_id: place.gpu.pci_bus_id,
        node: node(&place.nodes),
        cpus: cpus.clone(),
        memory_nodes: place.memory_nodes.clone(),
        worker_cpus: match request.exclusive {
            true => deal::for_workers(cpus, map, request.workers),
            false => cpus.clone(),
        },
    }
}

/// The CPUs of these nodes, whether they may be used or not.
pub(crate) fn cpus_of(nodes: &NodeSet, map: &Document) -> CpuSet {
    let all = map.topology.nodes.iter();
    let all = all.filter(|node| nodes.contains(&node.id));
    let cpus = all.filter_map(|node| node.cpus.as_ref());
    cpus.flat_map(CpuSet::iter).collect()
}

/// The node of a CPU.
fn node_of(cpu: Cpu, map: &Document) -> Option<NodeId> {
    let mut nodes = map.topology.nodes.iter();
    let node = nodes.find(|node| node.cpus.as_ref().is_some_and(|cpus| cpus.contains(cpu)));
    node.map(|node| node.id)
}
