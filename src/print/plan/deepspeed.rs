//! DeepSpeed's --bind_core_list. Not tried; what it does is in deepspeed/utils/numa.py and deepspeed/launcher/launch.py of
//! github.com/deepspeedai/DeepSpeed: an ascending list is dealt in equal parts by local rank, and a rank whose CPUs are all of one
//! node gets the memory of that node.

use std::fmt::Write;

use super::machine::has_memory_on;
use super::words::{comments, gpus, loaders_note};
use crate::document::{Document, NodeEntry, PlanDocument, PlannedRank};
use crate::print::plan::Inexpressible;
use crate::units::{Cpu, CpuSet, NodeId, ranges};

/// The command.
///
/// # Errors
/// Where its list cannot give the plan.
pub(super) fn command(plan: &PlanDocument, map: &Document) -> Result<String, Inexpressible> {
    obstacle(plan, map).map_or(Ok(()), |why| {
        Err(Inexpressible(format!(
            "{why}; with the wrapper of --format sh: deepspeed --no_python --no_local_rank ./bind.sh python train.py"
        )))
    })?;
    let cpus = plan.ranks.iter().flat_map(|rank| rank.cpus.iter());
    let list = ranges(cpus.map(|cpu| cpu.0));
    let mut out = comments(plan);
    out += "# Not tried. numactl must be installed, and KMP_AFFINITY must not be set.\n";
    out += loaders_note(plan);
    let _ = writeln!(
        out,
        "deepspeed --include localhost:{} --bind_cores_to_rank --bind_core_list {list} train.py",
        gpu_list(plan)
    );
    Ok(out)
}

/// `0,1,2`: it takes no ranges.
fn gpu_list(plan: &PlanDocument) -> String {
    let gpus = plan.ranks.iter().map(|rank| rank.gpu.to_string());
    gpus.collect::<Vec<_>>().join(",")
}

fn obstacle(plan: &PlanDocument, map: &Document) -> Option<String> {
    let is_ascending = |numbers: &[u32]| numbers.is_sorted_by(|one, next| one < next);
    let order: Vec<u32> = plan.ranks.iter().map(|rank| rank.gpu).collect();
    if !is_ascending(&order) {
        return Some(format!(
            "it sorts the GPUs, and the plan has {}",
            gpus(plan)
        ));
    }
    let cpus: Vec<u32> = plan
        .ranks
        .iter()
        .flat_map(|rank| rank.cpus.iter())
        .map(|cpu| cpu.0)
        .collect();
    if !is_ascending(&cpus) {
        return Some(
            "it deals a list of ascending CPUs in the order of the ranks, and the plan's CPUs do not ascend by rank".to_owned(),
        );
    }
    let count = |rank: &PlannedRank| rank.cpus.iter().count();
    let first = plan.ranks.first().map(count);
    if plan.ranks.iter().any(|rank| Some(count(rank)) != first) {
        return Some(
            "it deals equal parts, and the plan's ranks have different numbers of CPUs".to_owned(),
        );
    }
    memory_obstacle(plan, &map.topology.nodes)
}

/// Why it would bind memory elsewhere.
fn memory_obstacle(plan: &PlanDocument, nodes: &[NodeEntry]) -> Option<String> {
    // It counts the nodes from 0 on.
    if (0..)
        .zip(nodes)
        .any(|(number, node)| node.id != NodeId(number))
    {
        return Some(
            "it numbers the nodes without gaps, and those of this machine have gaps".to_owned(),
        );
    }
    let has_cpus = |node: &&NodeEntry| node.cpus.as_ref().is_some_and(|cpus| !cpus.is_empty());
    let with_cpus = nodes.iter().filter(has_cpus).count();
    if with_cpus * 2 == nodes.len() {
        return Some(
            "it would take the nodes without CPUs for high-bandwidth memory, and prefer it"
                .to_owned(),
        );
    }
    plan.ranks.iter().find_map(|rank| {
        let holds = |cpu: Cpu, node: &NodeEntry| {
            node.cpus
                .as_ref()
                .is_some_and(|cpus: &CpuSet| cpus.contains(cpu))
        };
        let node = nodes
            .iter()
            .find(|node| rank.cpus.iter().all(|cpu| holds(cpu, node)))?;
        (!has_memory_on(rank, node.id)).then(|| {
            format!(
                "it would bind the memory of rank {} to node {}",
                rank.rank, node.id
            )
        })
    })
}
