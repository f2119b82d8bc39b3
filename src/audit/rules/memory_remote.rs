//! `memory-remote`: more of a process's working memory than the limits allow lies on another socket
//! than its GPU's.

use std::collections::BTreeMap;

use super::super::finding::{Finding, Severity};
use super::super::memory::MemoryKind;
use super::super::verdict::Verdict;
use super::{Audited, by_gpus, on_nodes, subject};
use crate::model::memory::Bytes;
use crate::model::topology::{NodeSet, Topology, node_list};

pub(super) fn check(processes: &[Audited], _: &Topology) -> Vec<Finding> {
    let broken = processes
        .iter()
        .filter(|audited| audited.memory.verdict == Some(Verdict::Mismatch));
    by_gpus(broken).iter().map(|group| finding(group)).collect()
}

fn finding(group: &[&Audited]) -> Finding {
    let first = group[0];
    let mismatched = match first.part.gpus.as_slice() {
        [] => "CPU",
        _ => "GPU",
    };
    let mut off_by_kind: BTreeMap<MemoryKind, Bytes> = BTreeMap::new();
    let mut on = NodeSet::new();
    let mut least_local = 1.0_f64;
    for audited in group {
        let Some(pages) = &audited.memory.pages else {
            continue;
        };
        let local = pages.share.and_then(|share| share.local_fraction());
        least_local = least_local.min(local.unwrap_or(1.0));
        on.extend(pages.node.filter(|node| pages.off_nodes.contains(node)));
        for (kind, by_node) in pages
            .by_kind
            .iter()
            .filter(|(kind, _)| **kind != MemoryKind::File)
        {
            let off = by_node
                .iter()
                .filter(|(node, _)| pages.off_nodes.contains(node));
            let most = off_by_kind.entry(*kind).or_default();
            // Processes share pages, so the largest of them stands for all.
            *most = (*most).max(off.map(|(_, bytes)| *bytes).sum());
        }
    }
    let kinds = off_by_kind.iter().filter(|(_, bytes)| bytes.0 > 0);
    let kinds: Vec<String> = kinds
        .map(|(kind, bytes)| format!("{kind} {bytes}"))
        .collect();
    let local = node_list(&first.local_nodes);
    let up_to = if group.len() > 1 { "up to " } else { "" };
    Finding {
        rule: "memory-remote",
        severity: Severity::Error,
        gpu: first.part.gpus.first().copied(),
        pids: group.iter().map(|audited| audited.process.pid).collect(),
        message: format!(
            "{mismatched} and memory NUMA nodes do NOT match: {} {} {up_to}{:.0} % of the working memory elsewhere{} \
             ({up_to}{})",
            subject(group),
            if group.len() > 1 { "have" } else { "has" },
            (1.0 - least_local) * 100.0,
            if on.is_empty() {
                String::new()
            } else {
                format!(", most of it on {}", on_nodes(&on))
            },
            kinds.join(", "),
        ),
        remedy: format!(
            "start it with numactl --cpunodebind={local} --membind={local}; pages that are there already \
             move with migratepages, pinned ones do not",
        ),
    }
}
