//! The map of a machine, without processes.

use comfy_table::Cell;

use crate::document::{DeviceEntry, Document, NodeEntry};
use crate::print::gaps::gaps;
use crate::print::{Terminal, cell, findings, harmless, head, known, or_unknown};
use crate::units::node_list;
use crate::words::PciClass;

/// The whole map.
pub(crate) fn topology(document: &Document, terminal: &Terminal) -> String {
    let mut out = terminal.wrap("", &head(&document.host), 2);
    out.push('\n');
    out += &nodes(document, terminal);
    out += &gpus(document, terminal);
    out += &devices(document, terminal);
    out += &findings(document, terminal);
    out + &gaps(document, terminal)
}

fn nodes(document: &Document, terminal: &Terminal) -> String {
    let nodes = &document.topology.nodes;
    if nodes.is_empty() {
        return "No NUMA nodes visible: a kernel without NUMA, or a tree without /sys\n".to_owned();
    }
    let columns: Vec<String> = nodes.iter().map(|node| format!("TO {}", node.id)).collect();
    let mut header = vec![
        "NODE", "CPUS", "MEMORY", "FREE", "GPUS", "NETWORK", "STORAGE",
    ];
    header.extend(columns.iter().map(String::as_str));
    let mut table = terminal.table(&header);
    for node in nodes {
        table.add_row(node_row(document, node));
    }
    if let Some(cpus) = table.column_mut(1) {
        // Each line of a long list holds whole numbers.
        cpus.set_delimiter(',');
    }
    table.trim_fmt() + "\n"
}

fn node_row(document: &Document, node: &NodeEntry) -> Vec<Cell> {
    let topology = &document.topology;
    let gpus = topology.gpus.iter();
    let gpus = gpus.filter(|gpu| gpu.home_nodes.contains(&node.id));
    let gpus: Vec<String> = gpus.map(|gpu| gpu.index.to_string()).collect();
    let of_class = |class: PciClass| {
        let devices = topology.devices.iter();
        let here = devices.filter(|device| device.node == Some(node.id) && device.class == class);
        named(&here.collect::<Vec<_>>())
    };
    let distances = topology.nodes.iter().map(|to| {
        let distances = node.distances.as_ref();
        known(distances.and_then(|distances| distances.get(&to.id)))
    });
    let mut cells = vec![
        node.id.to_string(),
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
    cells.extend(distances);
    cells.iter().map(|text| cell(text)).collect()
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

fn names(device: &DeviceEntry) -> Vec<&str> {
    let names = device.name.as_deref();
    names.map_or_else(Vec::new, |names| names.split(',').collect())
}

fn gpus(document: &Document, terminal: &Terminal) -> String {
    if document.topology.gpus.is_empty() {
        return "\nNo GPU visible\n".to_owned();
    }
    let mut table = terminal.table(&[
        "GPU",
        "NAME",
        "PCI",
        "HOME NODE",
        "KNOWN FROM",
        "LOCAL NODES",
        "MEMORY",
    ]);
    for gpu in &document.topology.gpus {
        table.add_row(
            [
                gpu.index.to_string(),
                gpu.name.as_deref().map_or("?".to_owned(), harmless),
                known(gpu.pci_bus_id.as_ref()),
                or_unknown(node_list(&gpu.home_nodes)),
                harmless(gpu.home_source.as_str()),
                or_unknown(node_list(&gpu.local_nodes)),
                known(gpu.memory_total_bytes.as_ref()),
            ]
            .map(|text| cell(&text)),
        );
    }
    format!("\n{}\n", table.trim_fmt())
}

fn devices(document: &Document, terminal: &Terminal) -> String {
    if document.topology.devices.is_empty() {
        return String::new();
    }
    let mut table = terminal.table(&["DEVICE", "CLASS", "NAME", "NODE"]);
    for device in &document.topology.devices {
        let names = names(device).join(", ");
        table.add_row(
            [
                device.pci_bus_id.to_string(),
                harmless(device.class.as_str()),
                if names.is_empty() {
                    "-".to_owned()
                } else {
                    harmless(&names)
                },
                known(device.node.as_ref()),
            ]
            .map(|text| cell(&text)),
        );
    }
    format!("\n{}\n", table.trim_fmt())
}
