//! The heading's line of NUMA nodes. Nodes of which the same is to be said share a part of it.

use std::collections::BTreeMap;

use crate::document::{Document, NodeEntry};
use crate::print::Terminal;
use crate::units::{CpuSet, NodeId, ranges};

/// `2 NUMA nodes: node 0 CPUs 0-23; node 1 CPUs 24-47`
pub(crate) fn nodes(document: &Document, terminal: &Terminal) -> String {
    let nodes = &document.topology.nodes;
    let parts = parts(document);
    match nodes.len() {
        0 => "No NUMA nodes visible\n".to_owned(),
        1 => terminal.wrap("", &format!("1 NUMA node: {}", parts.join("; ")), 2),
        several => {
            let text = format!("{several} NUMA nodes: {}", parts.join("; "));
            terminal.wrap("", &text, 2)
        }
    }
}

/// What is said of a node in the heading.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    /// One node with its CPUs.
    Cpus(NodeId, String),
    /// So many CPUs in each node.
    Each(usize),
    Unknown,
    GpuMemory,
    WithoutCpus,
}

fn parts(document: &Document) -> Vec<String> {
    /// More nodes with CPUs than these have their number of CPUs only.
    const LISTED: usize = 16;
    let nodes = &document.topology.nodes;
    let has_cpus = |node: &&NodeEntry| node.cpus.as_ref().is_some_and(|cpus| !cpus.is_empty());
    let are_listed = nodes.iter().filter(has_cpus).count() <= LISTED;
    let gpu_of = gpu_memory(document);
    let mut groups: BTreeMap<Said, Vec<NodeId>> = BTreeMap::new();
    for node in nodes {
        let said = match &node.cpus {
            None => Said::Unknown,
            Some(cpus) if cpus.is_empty() && gpu_of.contains_key(&node.id) => Said::GpuMemory,
            Some(cpus) if cpus.is_empty() => Said::WithoutCpus,
            Some(cpus) if are_listed => Said::Cpus(node.id, brief(cpus)),
            Some(cpus) => Said::Each(cpus.iter().count()),
        };
        groups.entry(said).or_default().push(node.id);
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, nodes)| nodes.first().copied());
    groups
        .into_iter()
        .map(|(said, nodes)| part(&said, &nodes, &gpu_of))
        .collect()
}

fn part(said: &Said, nodes: &[NodeId], gpu_of: &BTreeMap<NodeId, u32>) -> String {
    let word = if nodes.len() == 1 { "node" } else { "nodes" };
    let each = if nodes.len() == 1 { "" } else { " each" };
    let list = ranges(nodes.iter().map(|node| node.0));
    match said {
        Said::Cpus(_, cpus) => format!("{word} {list} {cpus}"),
        Said::Each(count) => format!("{word} {list} with {count} CPUs{each}"),
        Said::Unknown => format!("{word} {list} CPUs ?"),
        Said::WithoutCpus => format!("{word} {list} without CPUs"),
        Said::GpuMemory => {
            let mut gpus: Vec<u32> = nodes
                .iter()
                .filter_map(|of| gpu_of.get(of))
                .copied()
                .collect();
            gpus.sort_unstable();
            gpus.dedup();
            let gpu = if gpus.len() == 1 { "GPU" } else { "GPUs" };
            format!(
                "{word} {list} (memory of {gpu} {}) without CPUs",
                ranges(gpus)
            )
        }
    }
}

/// The nodes that are the memory of a GPU.
fn gpu_memory(document: &Document) -> BTreeMap<NodeId, u32> {
    let gpus = document.topology.gpus.iter();
    let own = gpus.flat_map(|gpu| gpu.own_memory_nodes.iter().map(|node| (*node, gpu.index)));
    own.collect()
}

/// `CPUs 0-23`, `with 96 CPUs` where the list is too long to read.
fn brief(cpus: &CpuSet) -> String {
    const READABLE: usize = 30;
    let list = cpus.to_string();
    match list.len() {
        0..=READABLE => format!("CPUs {list}"),
        _ => format!("with {} CPUs", cpus.iter().count()),
    }
}
