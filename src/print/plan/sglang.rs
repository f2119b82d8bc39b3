//! SGLang's --numa-node. Not tried; the option is that of docs.sglang.io/advanced_features/server_arguments, and what it does is in
//! python/sglang/srt/utils/numa_utils.py of github.com/sgl-project/sglang: the Nth node is for the Nth visible GPU, of its CPUs
//! those that the server may use.

use std::fmt::Write;

use super::machine::{allowed, node_cpus};
use super::vllm::nodes;
use super::words::{comments, devices_before, devices_note};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::print::plan::Inexpressible;
use crate::units::NodeId;

/// The command.
///
/// # Errors
/// Where a rank has not the CPUs and the memory of one node, all of them.
pub(super) fn command(plan: &PlanDocument, map: &Document) -> Result<String, Inexpressible> {
    let nodes = nodes(plan)?;
    let is_part =
        |(rank, node): &(&PlannedRank, &NodeId)| rank.cpus != allowed(&node_cpus(**node, map), map);
    if let Some((rank, node)) = plan.ranks.iter().zip(&nodes).find(is_part) {
        return Err(Inexpressible(format!(
            "it binds to all CPUs of a node, and rank {} has only some of node {node}",
            rank.rank
        )));
    }
    let words: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    let mut out = comments(plan);
    out += "# Not tried. A scheduler process of SGLang is a rank here.\n";
    out += devices_note(plan, map);
    let (devices, count) = (devices_before(plan, map), plan.ranks.len());
    let _ = writeln!(
        out,
        "{devices}python -m sglang.launch_server --model-path MODEL --tp {count} --numa-node {}",
        words.join(" ")
    );
    Ok(out)
}
