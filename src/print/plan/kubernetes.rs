//! The kubelet's configuration, and what pods must ask for. Not tried; the fields are those of KubeletConfiguration
//! (kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1), the policies those of kubernetes.io/docs/tasks/administer-cluster:
//! cpu-management-policies, memory-manager and topology-manager.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::machine::core_of;
use super::words::{comments, visible_devices};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::print::plan::Inexpressible;
use crate::units::{CpuSet, NodeId, node_list};

/// The configuration, with what pods ask for as comments.
///
/// # Errors
/// Where the policies cannot keep CPUs, memory and GPUs together.
pub(super) fn configuration(plan: &PlanDocument, map: &Document) -> Result<String, Inexpressible> {
    let nodes = by_node(plan)?;
    let mut out = comments(plan);
    out += "# Not tried. The kubelet chooses GPUs and CPUs itself, so that a pod has them, and its memory, on one node.\n";
    out += &pods(&nodes, plan, map);
    out += "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";
    out += "cpuManagerPolicy: static\ncpuManagerPolicyOptions:\n  full-pcpus-only: \"true\"\n";
    out += &reserved(plan, map);
    out += "memoryManagerPolicy: Static\n";
    out += "# The sum must equal the memory of kubeReserved, systemReserved and evictionHard (100Mi if it is not set).\n";
    let first = nodes.keys().next().map_or(0, |node| node.0);
    let _ = writeln!(
        out,
        "reservedMemory:\n  - numaNode: {first}\n    limits:\n      memory: 100Mi"
    );
    out += "topologyManagerPolicy: single-numa-node\ntopologyManagerScope: pod\n";
    Ok(out)
}

/// The ranks of each node.
fn by_node(plan: &PlanDocument) -> Result<BTreeMap<NodeId, Vec<&PlannedRank>>, Inexpressible> {
    let mut nodes: BTreeMap<NodeId, Vec<&PlannedRank>> = BTreeMap::new();
    for rank in &plan.ranks {
        match rank.node {
            Some(node) if rank.memory_nodes == [node].into() => {
                nodes.entry(node).or_default().push(rank);
            }
            _ => {
                return Err(Inexpressible(format!(
                    "the topology manager keeps CPUs, memory and GPU on one node, and rank {} has its memory on node {} and its CPUs on {}",
                    rank.rank,
                    node_list(&rank.memory_nodes),
                    rank.cpus
                )));
            }
        }
    }
    Ok(nodes)
}

/// What pods of each node can ask for at most.
fn pods(
    nodes: &BTreeMap<NodeId, Vec<&PlannedRank>>,
    plan: &PlanDocument,
    map: &Document,
) -> String {
    let resource = match visible_devices(plan, map) {
        Some(_) => "nvidia.com/gpu",
        None => "nvidia.com/gpu (or amd.com/gpu)",
    };
    let mut out = String::new();
    for (node, ranks) in nodes {
        let cpus: CpuSet = ranks.iter().flat_map(|rank| rank.cpus.iter()).collect();
        let threads = threads_of_a_core(&cpus, map);
        let total = cpus.iter().count();
        let whole = |count: usize| count / threads * threads;
        let each = match whole(total / ranks.len()) {
            0 => "less than a core".to_owned(),
            cpus => format!("{cpus} CPUs"),
        };
        let _ = writeln!(
            out,
            "# Node {node}: {} x {resource} and {} CPUs for all of its pods, {each} for each GPU.",
            ranks.len(),
            whole(total),
        );
    }
    out += "# Requests must equal limits in every container (class Guaranteed), and CPUs must be whole cores.\n";
    if nodes.len() > 1 {
        out += "# A pod with GPUs of several nodes is refused; with the policy restricted it is taken, and needs --format sh inside.\n";
    }
    out
}

/// The most threads that a core of these CPUs has; 1 where cores are unknown.
fn threads_of_a_core(cpus: &CpuSet, map: &Document) -> usize {
    let cores = cpus.iter().filter_map(|cpu| core_of(cpu, map));
    cores.map(|core| core.iter().count()).max().unwrap_or(1)
}

/// The CPUs that no pod of its own CPUs gets. The kubelet does not know which CPUs are isolated.
fn reserved(plan: &PlanDocument, map: &Document) -> String {
    let isolated = map.topology.isolated_cpus.iter().flat_map(CpuSet::iter);
    let reserved: CpuSet = plan.reserved_cpus.iter().chain(isolated).collect();
    match reserved.is_empty() {
        true => {
            "# reservedSystemCPUs is missing, which the policy static needs: plan with --reserve.\n"
                .to_owned()
        }
        false => format!("reservedSystemCPUs: \"{reserved}\"\n"),
    }
}
