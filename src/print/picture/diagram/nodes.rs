//! What is said of the nodes themselves, and the sockets.

use std::collections::BTreeMap;

use crate::document::{Document, NodeEntry};
use crate::print::node_table::names;
use crate::print::picture::diagram::{Grouped, Pane, PaneGroup};
use crate::print::picture::text::shown;
use crate::units::{CpuSet, NodeId, NodeSet, node_list, ranges};
use crate::words::PciClass;

/// The longest list of CPUs that is read.
const READABLE: usize = 24;

fn entry(document: &Document, id: NodeId) -> Option<&NodeEntry> {
    document.topology.nodes.iter().find(|node| node.id == id)
}

/// The CPUs of a node, the longest text first.
pub(super) fn cpus(document: &Document, node: NodeId) -> Vec<String> {
    let Some(node) = entry(document, node) else {
        return vec!["not listed".to_owned()];
    };
    let Some(cpus) = &node.cpus else {
        return vec!["CPUs ?".to_owned()];
    };
    if cpus.is_empty() {
        return vec!["memory only, no CPUs".to_owned(), "no CPUs".to_owned()];
    }
    let count = match cpus.iter().count() {
        1 => "1 CPU".to_owned(),
        count => format!("{count} CPUs"),
    };
    let list = cpus.to_string();
    let listed = (list.len() <= READABLE).then(|| format!("CPUs {list}"));
    listed.into_iter().chain([count]).collect()
}

/// The size of a node's memory.
pub(super) fn size(document: &Document, node: NodeId) -> Option<String> {
    let size = entry(document, node)?.memory_total_bytes;
    Some(size.map_or("memory ?".to_owned(), |size| size.to_string()))
}

/// The devices of a node, a line for each class.
pub(super) fn devices(document: &Document, node: NodeId) -> Vec<String> {
    const MOST: usize = 64;
    const CLASSES: [(PciClass, &str); 3] = [
        (PciClass::Network, "network"),
        (PciClass::Storage, "storage"),
        (PciClass::Accelerator, "accelerators"),
    ];
    let named = |(class, word)| {
        let devices = document.topology.devices.iter();
        let here = devices.filter(|of| of.node == Some(node) && of.class == class);
        let names = here.take(MOST).map(|of| match names(of).first() {
            Some(name) => shown(name, 40),
            None => of.pci_bus_id.to_string(),
        });
        let names: Vec<String> = names.collect();
        (!names.is_empty()).then(|| format!("{word}: {}", names.join(", ")))
    };
    CLASSES.into_iter().filter_map(named).collect()
}

/// `12 to 1-3`, `32 to 4-7`
pub(super) fn distances(document: &Document, node: NodeId) -> Vec<String> {
    let known = entry(document, node).and_then(|node| node.distances.as_ref());
    let mut by_distance: BTreeMap<u32, NodeSet> = BTreeMap::new();
    for (to, distance) in known.into_iter().flatten().filter(|(to, _)| **to != node) {
        by_distance.entry(*distance).or_default().insert(*to);
    }
    let texts = by_distance.iter();
    let texts = texts.map(|(distance, to)| format!("{distance} to {}", node_list(to)));
    texts.collect()
}

/// Lines for nodes without a pane: those alike share one.
pub(super) fn folded(grouped: &Grouped, empty: &NodeSet) -> Vec<String> {
    let mut alike: BTreeMap<bool, Vec<u32>> = BTreeMap::new();
    let entries = grouped.document.topology.nodes.iter();
    let without_cpus: NodeSet = entries
        .filter(|node| node.cpus.as_ref().is_some_and(CpuSet::is_empty))
        .map(|node| node.id)
        .collect();
    for id in empty {
        let has_cpus = !without_cpus.contains(id);
        alike.entry(has_cpus).or_default().push(id.0);
    }
    let has_processes = grouped.document.processes.is_some();
    let lines = alike.into_iter().rev().map(|(has_cpus, ids)| {
        let word = if ids.len() == 1 { "node" } else { "nodes" };
        let list = ranges(ids);
        match (has_cpus, has_processes) {
            (true, true) => format!("{word} {list}: no GPUs, no processes"),
            (true, false) => format!("{word} {list}: no GPUs"),
            (false, true) => format!("{word} {list}: no CPUs, no memory of these processes"),
            (false, false) => format!("{word} {list}: no CPUs, memory only"),
        }
    });
    lines.collect()
}

/// The panes by socket. A socket with one node has no frame.
pub(super) fn groups(document: &Document, panes: &[Pane]) -> Vec<PaneGroup> {
    let packages: BTreeMap<NodeId, u32> = document
        .topology
        .nodes
        .iter()
        .filter_map(|node| Some((node.id, node.package?)))
        .collect();
    let mut nodes_of: BTreeMap<u32, usize> = BTreeMap::new();
    for package in packages.values() {
        *nodes_of.entry(*package).or_default() += 1;
    }
    let socket = |pane: &Pane| {
        let mut packages = pane.seat.iter().map(|node| packages.get(node).copied());
        let first = packages.next()??;
        let is_one = packages.all(|other| other == Some(first));
        (is_one && nodes_of[&first] > 1).then_some(first)
    };
    let mut framed: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    let mut loose = Vec::new();
    for (index, pane) in panes.iter().enumerate() {
        match socket(pane) {
            Some(package) => framed.entry(package).or_default().push(index),
            None => loose.push(index),
        }
    }
    let framed = framed.into_iter().map(|(package, panes)| PaneGroup {
        title: Some(format!("socket {package}")),
        panes,
    });
    let loose = PaneGroup {
        title: None,
        panes: loose,
    };
    framed
        .chain([loose])
        .filter(|group| !group.panes.is_empty())
        .collect()
}
