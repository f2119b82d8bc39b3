//! vLLM's --numa-bind. Not tried; the options are those of docs.vllm.ai/en/stable/api/vllm/config/parallel (numa_bind_nodes,
//! numa_bind_cpus): for the Nth visible GPU the Nth node, and the Nth list of CPUs as numactl --physcpubind takes it.

use std::fmt::Write;

use super::machine::{has_memory_on, node_cpus};
use super::words::{comments, devices_before, devices_note};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::print::plan::Inexpressible;
use crate::units::NodeId;

/// The command.
///
/// # Errors
/// Where a rank has not the CPUs and the memory of one node.
pub(super) fn command(plan: &PlanDocument, map: &Document) -> Result<String, Inexpressible> {
    let nodes = nodes(plan)?;
    let words: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    let mut options = format!("--numa-bind --numa-bind-nodes {}", words.join(" "));
    let is_whole = |(rank, node): (&PlannedRank, &NodeId)| rank.cpus == node_cpus(*node, map);
    if !plan.ranks.iter().zip(&nodes).all(is_whole) {
        options += " --numa-bind-cpus";
        for rank in &plan.ranks {
            let _ = write!(options, " {}", rank.cpus);
        }
    }
    let mut out = comments(plan);
    out += "# Not tried. A worker of vLLM is a rank here; numactl must be installed.\n";
    out += devices_note(plan, map);
    let (devices, count) = (devices_before(plan, map), plan.ranks.len());
    let _ = writeln!(
        out,
        "{devices}vllm serve MODEL --tensor-parallel-size {count} {options}"
    );
    Ok(out)
}

/// The node of each rank, which must have its memory too.
pub(super) fn nodes(plan: &PlanDocument) -> Result<Vec<NodeId>, Inexpressible> {
    let node = |rank: &PlannedRank| {
        let node = rank.node.filter(|node| has_memory_on(rank, *node));
        node.ok_or_else(|| {
            Inexpressible(format!(
                "its options bind CPUs and memory to the same node, and those of rank {} are on different nodes, or on several",
                rank.rank
            ))
        })
    };
    plan.ranks.iter().map(node).collect()
}
