//! The table of NUMA nodes. Nodes without CPUs of which the same is to be said share a row.

use std::collections::BTreeMap;

use crate::document::{DeviceEntry, Document, NodeEntry};
use crate::print::{Terminal, cell, harmless, known};
use crate::units::{NodeId, ranges};
use crate::words::PciClass;

/// What is said of a machine without nodes.
pub(crate) const NO_NODES: &str =
    "No NUMA nodes visible: a kernel without NUMA, or a tree without /sys";

/// The columns before the distances.
const HEADER: [&str; 7] = [
    "NODE", "CPUS", "MEMORY", "FREE", "GPUS", "NETWORK", "STORAGE",
];

/// With more nodes than these the distances have one column: a column for each node would be too wide to read.
const MOST_COLUMNS: usize = 8;

/// A row: the nodes, and all other cells.
type NodeRow = (Vec<u32>, Vec<String>);

/// The table.
pub(crate) fn nodes(document: &Document, terminal: &Terminal) -> String {
    let nodes = &document.topology.nodes;
    if nodes.is_empty() {
        return format!("{NO_NODES}\n");
    }
    let (header, rows) = filled(document, nodes.len() > MOST_COLUMNS);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = terminal.table(&header);
    for row in rows {
        table.add_row(row.iter().map(|text| cell(text)));
    }
    // Each line of a long list holds whole numbers.
    for list in [0, 1] {
        if let Some(column) = table.column_mut(list) {
            column.set_delimiter(',');
        }
    }
    table.trim_fmt() + "\n"
}

/// The header and the rows. `is_wide`: the distances are one column.
pub(crate) fn filled(document: &Document, is_wide: bool) -> (Vec<String>, Vec<Vec<String>>) {
    let nodes = &document.topology.nodes;
    let mut header: Vec<String> = HEADER.map(str::to_owned).to_vec();
    match is_wide {
        true => header.push("DISTANCES".to_owned()),
        false => header.extend(nodes.iter().map(|node| format!("TO {}", node.id))),
    }
    let mut rows: Vec<NodeRow> = Vec::new();
    for node in nodes {
        let cells = cells(document, node, is_wide);
        let has_cpus = node.cpus.as_ref().is_none_or(|cpus| !cpus.is_empty());
        match rows.iter_mut().find(|row| row.1 == cells) {
            Some(row) if is_wide && !has_cpus => row.0.push(node.id.0),
            _ => rows.push((vec![node.id.0], cells)),
        }
    }
    let rows = rows.into_iter().map(|(ids, mut cells)| {
        cells.insert(0, ranges(ids));
        cells
    });
    (header, rows.collect())
}

fn cells(document: &Document, node: &NodeEntry, is_wide: bool) -> Vec<String> {
    let topology = &document.topology;
    let gpus = topology.gpus.iter();
    let gpus = gpus.filter(|gpu| gpu.home_nodes.contains(&node.id));
    let gpus: Vec<String> = gpus.map(|gpu| gpu.index.to_string()).collect();
    let of_class = |class: PciClass| {
        let devices = topology.devices.iter();
        let here = devices.filter(|device| device.node == Some(node.id) && device.class == class);
        named(&here.collect::<Vec<_>>())
    };
    let mut cells = vec![
        match &node.cpus {
            None => "?".to_owned(),
            Some(cpus) if cpus.is_empty() => "none".to_owned(),
            Some(cpus) => cpus.to_string(),
        },
        known(node.memory_total_bytes.as_ref()),
        known(node.memory_free_bytes.as_ref()),
        if gpus.is_empty() {
            "-".to_owned()
        } else {
            gpus.join(",")
        },
        of_class(PciClass::Network),
        of_class(PciClass::Storage),
    ];
    if is_wide {
        cells.push(distances(node));
    } else {
        cells.extend(topology.nodes.iter().map(|to| {
            let distances = node.distances.as_ref();
            known(distances.and_then(|distances| distances.get(&to.id)))
        }));
    }
    cells
}

/// `40 to 1-3; 80 to 4-35`: the distances to the other nodes. The longest list is `others`.
fn distances(node: &NodeEntry) -> String {
    let Some(distances) = &node.distances else {
        return "?".to_owned();
    };
    let mut by_distance: BTreeMap<u32, Vec<NodeId>> = BTreeMap::new();
    for (to, distance) in distances.iter().filter(|(to, _)| **to != node.id) {
        by_distance.entry(*distance).or_default().push(*to);
    }
    let longest = by_distance.iter().max_by_key(|(_, nodes)| nodes.len());
    let longest = longest.map(|(distance, _)| *distance);
    let texts = by_distance.iter().map(|(distance, nodes)| {
        if Some(*distance) == longest {
            format!("{distance} to others")
        } else {
            format!("{distance} to {}", ranges(nodes.iter().map(|node| node.0)))
        }
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// Devices by their names, or their number where the names are too long.
fn named(devices: &[&DeviceEntry]) -> String {
    const READABLE: usize = 20;
    let names = devices.iter().map(|device| match names(device).first() {
        Some(name) => harmless(name),
        None => device.pci_bus_id.to_string(),
    });
    let names = names.collect::<Vec<_>>().join(",");
    match devices.len() {
        0 => "-".to_owned(),
        1 => names,
        _ if names.len() <= READABLE => names,
        several => format!("{several} devices"),
    }
}

/// The kernel's names for a device.
pub(crate) fn names(device: &DeviceEntry) -> Vec<&str> {
    let names = device.name.as_deref();
    names.map_or_else(Vec::new, |names| names.split(',').collect())
}
