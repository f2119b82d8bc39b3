//! The rules, a file for each, named as the rule.

mod cpu_remote;
mod memory_remote;

use std::collections::BTreeMap;

use super::Audited;
use super::attribution::Role;
use super::finding::Finding;
use crate::model::cpus::CpuSet;
use crate::model::topology::{NodeSet, Topology, node_list};

/// A rule: what it finds among the judged processes.
type Rule = fn(&[Audited], &Topology) -> Vec<Finding>;

const RULES: &[Rule] = &[cpu_remote::check, memory_remote::check];

/// Applies every rule.
pub fn check(processes: &[Audited], topology: &Topology) -> Vec<Finding> {
    RULES
        .iter()
        .flat_map(|rule| rule(processes, topology))
        .collect()
}

/// Those of `broken` that belong together: one finding names all processes of the same GPUs. Processes
/// without a GPU stand for themselves.
fn by_gpus<'a>(broken: impl Iterator<Item = &'a Audited>) -> Vec<Vec<&'a Audited>> {
    let mut groups: BTreeMap<_, Vec<&Audited>> = BTreeMap::new();
    for audited in broken {
        let alone = audited.part.gpus.is_empty().then_some(audited.process.pid);
        groups
            .entry((audited.part.gpus.clone(), alone))
            .or_default()
            .push(audited);
    }
    groups.into_values().collect()
}

/// `node 1`, `nodes 0-1`
fn on_nodes(nodes: &NodeSet) -> String {
    let word = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{word} {}", node_list(nodes))
}

/// `GPU 0 hangs on node 0, trainer 254 and 4 workers` or, without a GPU, `process 250 runs on node 1 and`.
fn subject(group: &[&Audited]) -> String {
    let first = group[0];
    let gpus: Vec<String> = first.part.gpus.iter().map(u32::to_string).collect();
    let home = on_nodes(&first.home_nodes);
    match gpus.as_slice() {
        [] => format!(
            "{} runs on {} and",
            who(group),
            on_nodes(&first.local_nodes)
        ),
        [gpu] => format!("GPU {gpu} hangs on {home}, {}", who(group)),
        _ => format!("GPUs {} hang on {home}, {}", gpus.join(", "), who(group)),
    }
}

/// `trainer 254 and 4 workers`
fn who(group: &[&Audited]) -> String {
    let of_role = |role| {
        group
            .iter()
            .filter(move |audited| audited.part.role == role)
    };
    let mut words = Vec::new();
    for (role, one) in [
        (Some(Role::Trainer), "trainer"),
        (Some(Role::Worker), "worker"),
        (None, "process"),
    ] {
        let pids: Vec<_> = of_role(role).map(|audited| audited.process.pid).collect();
        match pids.as_slice() {
            [] => {}
            [pid] => words.push(format!("{one} {pid}")),
            several => words.push(format!("{} {one}s", several.len())),
        }
    }
    words.join(" and ")
}

/// The CPUs of these nodes, to be pasted behind `taskset -c`.
fn cpus_of(nodes: &NodeSet, topology: &Topology) -> CpuSet {
    let nodes = nodes.iter().filter_map(|id| topology.nodes().get(id));
    nodes.flat_map(|node| node.cpus.iter()).collect()
}
