//! What changed from one audit to the next.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::names::gpu_names;
use crate::document::{Document, Finding, ProcessEntry};
use crate::print::{binding, cpus, harmless, role, verdict};
use crate::units::{Bytes, NodeId, Pid, percent_of_one};

/// What identifies a process: a later process may have the same PID.
pub(crate) type ProcessKey = (Pid, Option<u64>);

/// The identity of a process.
pub(crate) fn key(process: &ProcessEntry) -> ProcessKey {
    (process.pid, process.start_time_ticks)
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScreenChange {
    /// The process; `None` for a finding.
    pub(crate) process: Option<ProcessKey>,
    /// The column that shows it.
    pub(crate) header: Option<&'static str>,
    /// In words, harmless on a terminal. Empty for what the row shows well enough.
    pub(crate) text: String,
}

/// The changes from `before` to `after`, process by process, then the findings.
pub(crate) fn changes(before: &Document, after: &Document) -> Vec<ScreenChange> {
    let by_key = |document: &'_ Document| -> BTreeMap<ProcessKey, usize> {
        let processes = document.processes().iter().zip(0..);
        processes.map(|(of, at)| (key(of), at)).collect()
    };
    let (old, new) = (by_key(before), by_key(after));
    let mut changes = Vec::new();
    for (key, at) in &new {
        let now = &after.processes()[*at];
        match old.get(key) {
            Some(at) => of_process(&before.processes()[*at], now, &mut changes),
            None => changes.push(change(now, Some("PID"), "is new".to_owned())),
        }
    }
    for (key, at) in &old {
        if !new.contains_key(key) {
            let gone = &before.processes()[*at];
            changes.push(change(gone, None, "has ended".to_owned()));
        }
    }
    findings(before, after, &mut changes);
    changes
}

/// `trainer 254 (GPU 0)`
pub(crate) fn name(process: &ProcessEntry) -> String {
    let who = format!("{} {}", role(process), process.pid);
    match process.gpus.as_slice() {
        [] => who,
        gpus => format!("{who} ({})", gpu_names(gpus)),
    }
}

fn change(process: &ProcessEntry, header: Option<&'static str>, what: String) -> ScreenChange {
    let text = match what.is_empty() {
        true => what,
        false => format!("{} {what}", name(process)),
    };
    ScreenChange {
        process: Some(key(process)),
        header,
        text,
    }
}

fn of_process(before: &ProcessEntry, now: &ProcessEntry, changes: &mut Vec<ScreenChange>) {
    let mut add = |header, what: String| changes.push(change(now, Some(header), what));
    if before.verdict != now.verdict {
        let [was, is] = [before, now].map(|of| verdict(of.verdict.as_ref()));
        add("VERDICT", format!("is {is}, was {was}"));
    }
    if before.gpus != now.gpus {
        add("GPU", format!("works for {}", gpu_names(&now.gpus)));
    }
    match (before.cpu.node, now.cpu.node) {
        (Some(was), Some(is)) if was != is => {
            add("CPU NODE", format!("moved from node {was} to node {is}"));
        }
        (was, is) if was != is => add("CPU NODE", String::new()),
        _ => {}
    }
    if moves(now) > 0 {
        add("MOVES", String::new());
    }
    let affinity = |of: &ProcessEntry| cpus(of.cpu.affinity.as_ref(), &of.cpu.affinity_nodes);
    if before.cpu.affinity != now.cpu.affinity {
        let (was, is) = (affinity(before), affinity(now));
        add("CPUS", format!("may run on {is}, before on {was}"));
    }
    let (was, is) = (binding(&before.memory), binding(&now.memory));
    if was != is {
        add(
            "MEM BINDING",
            format!("has the memory binding {is}, before {was}"),
        );
    }
    if let Some(node) = shifted(before, now) {
        let share = |of| share(of, node).map_or("?".to_owned(), percent_of_one);
        let (was, is) = (share(before), share(now));
        add(
            "MEMORY BY NODE",
            format!("has {is} of its memory on node {node}, before {was}"),
        );
    }
}

fn moves(process: &ProcessEntry) -> u64 {
    let window = process.cpu.window.as_ref();
    window.map_or(0, |window| window.migrations)
}

/// The node whose share of the memory changed most, if it changed by more than an estimate varies by.
fn shifted(before: &ProcessEntry, now: &ProcessEntry) -> Option<NodeId> {
    const LEAST: f64 = 0.05;
    let (was, is) = (
        before.memory.by_node_bytes.as_ref()?,
        now.memory.by_node_bytes.as_ref()?,
    );
    let nodes: BTreeSet<NodeId> = was.keys().chain(is.keys()).copied().collect();
    let shift = |node: NodeId| {
        let shift = share(now, node)? - share(before, node)?;
        Some((shift.abs(), node)).filter(|(shift, _)| *shift >= LEAST)
    };
    let shifts = nodes.into_iter().filter_map(shift);
    let largest = shifts.max_by(|one, other| one.0.total_cmp(&other.0));
    largest.map(|(_, node)| node)
}

/// From 0 to 1; `None` where there is no memory.
fn share(process: &ProcessEntry, node: NodeId) -> Option<f64> {
    let by_node = process.memory.by_node_bytes.as_ref()?;
    let all: Bytes = by_node.values().copied().sum();
    let here = by_node.get(&node).copied().unwrap_or_default();
    (all.0 > 0).then(|| here.0 as f64 / all.0 as f64)
}

/// Findings that are new or gone, by rule and GPU.
fn findings(before: &Document, after: &Document, changes: &mut Vec<ScreenChange>) {
    let keys = |document: &Document| -> BTreeSet<(String, Option<u32>)> {
        let findings = document.findings.iter();
        findings.map(|of| (of.rule.clone(), of.gpu)).collect()
    };
    let (old, new) = (keys(before), keys(after));
    let mut add = |finding: &Finding, what: &str| {
        let text = harmless(&format!("{}[{}] {what}", finding.severity, finding.rule));
        changes.push(ScreenChange {
            process: None,
            header: None,
            text: match finding.gpus.as_slice() {
                [] => text,
                gpus => format!("{}: {text}", gpu_names(gpus)),
            },
        });
    };
    let is_in = |keys: &BTreeSet<(String, Option<u32>)>, of: &Finding| {
        keys.contains(&(of.rule.clone(), of.gpu))
    };
    for finding in after.findings.iter().filter(|of| !is_in(&old, of)) {
        add(finding, "is new");
    }
    for finding in before.findings.iter().filter(|of| !is_in(&new, of)) {
        add(finding, "is gone");
    }
}
