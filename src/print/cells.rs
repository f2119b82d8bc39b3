//! Cells of the tables: CPUs, nodes, bindings, verdicts.

use comfy_table::Color;

use crate::document::{MemoryEntry, ProcessEntry};
use crate::print::harmless;
use crate::units::{CpuSet, NodeSet, node_list, ranges};
use crate::words::{Verdict, Word};

/// `?` for nothing.
pub(crate) fn or_unknown(text: String) -> String {
    if text.is_empty() {
        "?".to_owned()
    } else {
        text
    }
}

/// A known value as text, else `?`.
pub(crate) fn known(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "?".to_owned(), ToString::to_string)
}

/// The role, `process` for one without.
pub(crate) fn role(process: &ProcessEntry) -> String {
    let role = process.role.as_ref();
    role.map_or_else(|| "process".to_owned(), |role| harmless(role.as_str()))
}

/// The CPUs on which the main thread may run. Of a long list the number of CPUs and their nodes.
pub(crate) fn cpus(affinity: Option<&CpuSet>, nodes: &NodeSet) -> String {
    const READABLE: usize = 17;
    let Some(affinity) = affinity else {
        return "?".to_owned();
    };
    let list = affinity.to_string();
    match list.len() {
        0..=READABLE => list,
        _ => format!("{} on {}", affinity.iter().count(), node_list(nodes)),
    }
}

/// `[0, 1]`, `bind [0]`: the nodes that memory may come from, with the policy that sets them.
pub(crate) fn binding(memory: &MemoryEntry) -> String {
    let listed = |nodes: &Option<NodeSet>| nodes.as_ref().map_or("[?]".to_owned(), bracketed);
    let allowed = listed(&memory.mems_allowed);
    match memory.policy.as_deref() {
        // It is within these, whatever the policy is.
        None => format!("? {allowed}"),
        Some("default") => allowed,
        Some("local") => format!("local {allowed}"),
        Some(mode) => format!("{} {}", harmless(mode), listed(&memory.policy_nodes)),
    }
}

fn bracketed(nodes: &NodeSet) -> String {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    format!("[{}]", nodes.join(", "))
}

/// The verdict, a mismatch in capital letters; `-` for a process that is not judged.
pub(crate) fn verdict(verdict: Option<&Word<Verdict>>) -> String {
    match verdict {
        None => "-".to_owned(),
        Some(word) if *word == Verdict::Mismatch => "MISMATCH".to_owned(),
        Some(word) => harmless(word.as_str()),
    }
}

pub(crate) fn color(verdict: Option<&Word<Verdict>>) -> Option<Color> {
    Some(match verdict?.known()? {
        Verdict::Ok | Verdict::SingleNode => Color::Green,
        Verdict::AtRisk => Color::Yellow,
        Verdict::Unknown => Color::Magenta,
        Verdict::Mismatch => Color::Red,
    })
}

/// PIDs, shortened where they are many.
pub(crate) fn shortened(pids: Vec<u32>) -> String {
    const READABLE: usize = 13;
    let list = ranges(pids.iter().copied());
    match pids.as_slice() {
        [first, .., last] if list.len() > READABLE => format!("{first}…{last}"),
        _ => list,
    }
}

/// `1 process`, `5 processes`
pub(crate) fn processes(count: usize) -> String {
    match count {
        1 => "1 process".to_owned(),
        several => format!("{several} processes"),
    }
}
