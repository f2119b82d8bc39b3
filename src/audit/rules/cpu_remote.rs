//! `cpu-remote`: a process runs, or may only run, on another socket than its GPU's.

use super::super::cpu::Standing;
use super::super::finding::{Finding, Severity};
use super::super::verdict::{Locality, Verdict};
use super::{Audited, by_gpus, cpus_of, on_nodes, subject};
use crate::model::topology::{NodeSet, Topology, node_list};

pub(super) fn check(processes: &[Audited], topology: &Topology) -> Vec<Finding> {
    let broken = processes.iter().filter(|audited| {
        audited.cpu.verdict == Some(Verdict::Mismatch)
            && audited.cpu.standing == Some(Standing::Off(Locality::Remote))
    });
    by_gpus(broken)
        .iter()
        .map(|group| finding(group, topology))
        .collect()
}

fn finding(group: &[&Audited], topology: &Topology) -> Finding {
    let first = group[0];
    let is_bound = |audited: &&&Audited| {
        let allowed = &audited.cpu.affinity_nodes;
        !allowed.is_empty() && allowed.is_disjoint(&audited.local_nodes)
    };
    // One that was bound in its sleep has not been there yet.
    let (bound, loose): (Vec<&Audited>, Vec<&Audited>) = group.iter().partition(is_bound);
    let bound_to = bound.iter().flat_map(|audited| &audited.cpu.affinity_nodes);
    let ran_on = loose.iter().filter_map(|audited| audited.cpu.node.as_ref());
    let on: NodeSet = bound_to.chain(ran_on).copied().collect();
    let held = match (bound.len(), loose.len()) {
        (0, _) => "last ran there, and nothing holds it there".to_owned(),
        (_, 0) => "bound there".to_owned(),
        (some, _) => format!("{some} of {} bound there", group.len()),
    };
    let local = node_list(&first.local_nodes);
    Finding {
        rule: "cpu-remote",
        severity: Severity::Error,
        gpu: first.part.gpus.first().copied(),
        pids: group.iter().map(|audited| audited.process.pid).collect(),
        message: format!(
            "GPU and CPU NUMA nodes do NOT match: {} on {} ({held})",
            subject(group),
            on_nodes(&on),
        ),
        remedy: format!(
            "start it with numactl --cpunodebind={local} --membind={local}; a running process moves with \
             taskset -a -p -c {} PID, and its memory stays where it is",
            cpus_of(&first.local_nodes, topology),
        ),
    }
}
