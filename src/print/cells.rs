//! What cells say of CPUs, nodes and shares, in the table of an audit and in that of two.

use crate::units::{CpuSet, NodeSet, node_list};

/// `?` for nothing.
pub(crate) fn or_unknown(text: String) -> String {
    if text.is_empty() {
        "?".to_owned()
    } else {
        text
    }
}

/// The CPUs on which the main thread may run; a list too long to be read as how many there are on which nodes.
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

/// Nodes that memory is bound to: `[0, 1]`.
pub(crate) fn bracketed(nodes: &NodeSet) -> String {
    let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    format!("[{}]", nodes.join(", "))
}

/// `1 process`, `5 processes`
pub(crate) fn processes(count: usize) -> String {
    match count {
        1 => "1 process".to_owned(),
        several => format!("{several} processes"),
    }
}
