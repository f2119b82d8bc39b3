//! Open MPI's rank file, and --map-by. For Open MPI 4; the file is read with physical numbers, as mpirun's manual page describes it.

use std::fmt::Write;

use super::machine::{core_of, node_cpus};
use super::words::{
    FIRST_TOUCH, comments, devices_note, is_in_order, loaders_note, visible_devices,
};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::print::plan::Inexpressible;
use crate::units::{Cpu, CpuSet, NodeId};

/// The rank file.
///
/// # Errors
/// Where a rank has only some of the hardware threads of a core: Open MPI binds to whole cores.
pub(super) fn rank_file(plan: &PlanDocument, map: &Document) -> Result<String, Inexpressible> {
    for rank in &plan.ranks {
        if let Some(cpu) = rank.cpus.iter().find(|cpu| !is_whole_core(*cpu, rank, map)) {
            return Err(Inexpressible(format!(
                "Open MPI binds to whole cores, and rank {} is not known to have all hardware threads of the core of CPU {}; \
                 --format sh makes a wrapper for mpirun --bind-to none",
                rank.rank, cpu.0
            )));
        }
    }
    let mut out = comments(plan);
    out += "# Open MPI 4. Save it as rankfile, with the host's name for localhost where the job has several hosts, then:\n";
    let (count, devices) = (plan.ranks.len(), devices(plan, map));
    let _ = writeln!(
        out,
        "#   mpirun -np {count} {devices}--mca rmaps_rank_file_physical 1 --rankfile rankfile python train.py"
    );
    if let Some(each) = ranks_of_each_node(plan, map) {
        out += "# The same without the file:\n";
        let _ = writeln!(
            out,
            "#   mpirun -np {count} {devices}--map-by ppr:{each}:numa --bind-to numa python train.py"
        );
    }
    out += FIRST_TOUCH;
    out += loaders_note(plan);
    out += devices_note(plan, map);
    for rank in &plan.ranks {
        let _ = writeln!(out, "rank {}=localhost slot={}", rank.rank, rank.cpus);
    }
    Ok(out)
}

fn is_whole_core(cpu: Cpu, rank: &PlannedRank, map: &Document) -> bool {
    let core = core_of(cpu, map);
    core.is_some_and(|core| core.iter().all(|cpu| rank.cpus.contains(cpu)))
}

fn devices(plan: &PlanDocument, map: &Document) -> String {
    let devices = visible_devices(plan, map).filter(|_| !is_in_order(plan));
    devices.map_or(String::new(), |devices| {
        format!("-x CUDA_VISIBLE_DEVICES={devices} ")
    })
}

/// How many ranks each node has, where all nodes have as many, in the order of the nodes, with all of their CPUs. `None` also
/// where a node has fewer cores than ranks: mpirun refuses to bind more processes than cores to a node.
fn ranks_of_each_node(plan: &PlanDocument, map: &Document) -> Option<usize> {
    let mut nodes: Vec<NodeId> = map.topology.nodes.iter().map(|node| node.id).collect();
    nodes.sort_unstable();
    let each = plan.ranks.len() / nodes.len().max(1);
    let expected = nodes
        .iter()
        .flat_map(|node| std::iter::repeat_n(Some(*node), each));
    let fits = |rank: &PlannedRank| {
        let whole = rank.node.map(|node| node_cpus(node, map));
        whole.as_ref() == Some(&rank.cpus) && core_count(&rank.cpus, map) >= each
    };
    let is_so = each > 0
        && plan.ranks.iter().map(|rank| rank.node).eq(expected)
        && plan.ranks.iter().all(fits);
    is_so.then_some(each)
}

fn core_count(cpus: &CpuSet, map: &Document) -> usize {
    let cores = map.topology.cores.iter();
    let cores = cores.filter(|core| core.cpus.iter().any(|cpu| cpus.contains(cpu)));
    cores.count()
}
