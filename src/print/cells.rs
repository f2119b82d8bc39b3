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
    let count = affinity.iter().count();
    let on = node_list(nodes);
    match (list.len(), on.len()) {
        (0..=READABLE, _) => list,
        (_, 0..=READABLE) => format!("{count} on {on}"),
        _ => format!("{count} on {} nodes", nodes.len()),
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

/// `[0, 1]`, `[0-35]`: three numbers in a row and more are a range.
fn bracketed(nodes: &NodeSet) -> String {
    const READABLE: usize = 20;
    let list = node_list(nodes);
    let parts = list.split(',').map(|part| match part.split_once('-') {
        Some((first, last)) if follows(first, last) => format!("{first}, {last}"),
        _ => part.to_owned(),
    });
    let text = parts.collect::<Vec<_>>().join(", ");
    match text.len() {
        0..=READABLE => format!("[{text}]"),
        _ => format!("[{} nodes]", nodes.len()),
    }
}

fn follows(first: &str, last: &str) -> bool {
    let number = |text: &str| text.parse::<u32>().ok();
    number(first).and_then(|first| first.checked_add(1)) == number(last)
}

/// The verdict, a mismatch in capital letters; `-` for a process that is not judged.
pub(crate) fn verdict(verdict: Option<&Word<Verdict>>) -> String {
    match verdict {
        None => "-".to_owned(),
        Some(word) if *word == Verdict::Mismatch => "MISMATCH".to_owned(),
        Some(word) => harmless(word.as_str()),
    }
}

/// The colour of a verdict, as the picture has it.
pub(crate) fn color(verdict: Option<&Word<Verdict>>) -> Option<Color> {
    Some(match verdict?.known()? {
        Verdict::Ok => Color::Green,
        Verdict::AtRisk => Color::Yellow,
        Verdict::Unknown => Color::Magenta,
        Verdict::Mismatch => Color::Red,
        // It cannot be wrong, which is no merit.
        Verdict::SingleNode => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NodeId;

    #[test]
    fn many_nodes_are_ranges() {
        let text = |nodes: &[u32]| bracketed(&nodes.iter().copied().map(NodeId).collect());
        assert_eq!(text(&[]), "[]");
        assert_eq!(text(&[0, 1]), "[0, 1]");
        assert_eq!(text(&[0, 2, 3]), "[0, 2, 3]");
        assert_eq!(text(&[0, 1, 2, 3, 8]), "[0-3, 8]");
        assert_eq!(text(&(0..36).collect::<Vec<_>>()), "[0-35]");
        let every_second: Vec<u32> = (0..64).step_by(2).collect();
        assert_eq!(text(&every_second), "[32 nodes]");
    }

    #[test]
    fn a_long_list_of_cpus_is_a_number() {
        let list: Vec<String> = (0..64).map(|cpu| (2 * cpu).to_string()).collect();
        let affinity = crate::units::parse_cpu_list(list.join(",").as_bytes()).unwrap();
        let nodes = |step: usize| (0..64).step_by(step).map(NodeId).collect::<NodeSet>();
        assert_eq!(cpus(Some(&affinity), &nodes(1)), "64 on 0-63");
        assert_eq!(cpus(Some(&affinity), &nodes(2)), "64 on 32 nodes");
    }
}
