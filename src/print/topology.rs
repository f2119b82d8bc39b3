//! The map of a machine: what is where, without its processes.

use comfy_table::Cell;

use crate::audit::Report;
use crate::machine::pci::{PciClass, PciDevice};
use crate::machine::topology::Node;
use crate::print::gaps::gaps_of_map;
use crate::print::table::{findings, head};
use crate::print::terminal::{Terminal, cell, harmless};
use crate::units::{Bytes, NodeId, node_list};

/// The whole map.
pub fn topology(report: &Report, terminal: &Terminal) -> String {
    let mut out = head(&report.host, terminal);
    out.push('\n');
    out += &nodes(report, terminal);
    out += &gpus(report, terminal);
    out += &devices(report, terminal);
    out += &findings(report, terminal);
    out + &gaps_of_map(report, terminal)
}

fn nodes(report: &Report, terminal: &Terminal) -> String {
    let nodes = report.topology.nodes();
    if nodes.is_empty() {
        return "No NUMA nodes to be seen: a kernel without NUMA, or a tree without /sys\n"
            .to_owned();
    }
    let columns: Vec<String> = nodes.keys().map(|id| format!("TO {id}")).collect();
    let mut header = vec![
        "NODE", "CPUS", "MEMORY", "FREE", "GPUS", "NETWORK", "STORAGE",
    ];
    header.extend(columns.iter().map(String::as_str));
    let mut table = terminal.table(&header);
    for (id, node) in nodes {
        table.add_row(node_row(report, *id, node));
    }
    if let Some(cpus) = table.column_mut(1) {
        // Of a long list each line holds whole numbers.
        cpus.set_delimiter(',');
    }
    table.trim_fmt() + "\n"
}

fn node_row(report: &Report, id: NodeId, node: &Node) -> Vec<Cell> {
    let gpus = report
        .gpus
        .iter()
        .filter(|place| place.home_nodes.contains(&id));
    let gpus: Vec<String> = gpus.map(|place| place.gpu.index.to_string()).collect();
    let of_class = |class| {
        let here = report
            .devices
            .iter()
            .filter(|device| device.node == Some(id));
        named(here.filter(|device| device.class == class))
    };
    let distances = report.topology.nodes().keys().map(|to| {
        let distance = node.distances.get(to);
        distance.map_or("?".to_owned(), u32::to_string)
    });
    let mut cells = vec![
        id.to_string(),
        match &node.cpus {
            None => "?".to_owned(),
            Some(cpus) if cpus.is_empty() => "none".to_owned(),
            Some(cpus) => cpus.to_string(),
        },
        size(node.memory_total),
        size(node.memory_free),
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

/// Devices by their names, or how many they are where these are too long.
fn named<'a>(devices: impl Iterator<Item = &'a PciDevice>) -> String {
    const READABLE: usize = 20;
    let devices: Vec<&PciDevice> = devices.collect();
    let names = devices.iter().map(|device| match device.names.first() {
        Some(name) => harmless(name),
        None => device.address.to_string(),
    });
    let names = names.collect::<Vec<_>>().join(",");
    match devices.len() {
        0 => "-".to_owned(),
        1 => names,
        _ if names.len() <= READABLE => names,
        several => format!("{several} devices"),
    }
}

fn size(bytes: Option<Bytes>) -> String {
    bytes.map_or("?".to_owned(), |bytes| bytes.to_string())
}

fn gpus(report: &Report, terminal: &Terminal) -> String {
    if report.gpus.is_empty() {
        return "\nNo GPU to be seen\n".to_owned();
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
    for place in &report.gpus {
        let gpu = &place.gpu;
        let known = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
        let list = |nodes| Some(node_list(nodes)).filter(|list| !list.is_empty());
        table.add_row(
            [
                gpu.index.to_string(),
                known(gpu.name.as_deref().map(harmless)),
                known(gpu.address.map(|address| address.to_string())),
                known(list(&place.home_nodes)),
                place.source.to_string(),
                known(list(&place.local_nodes)),
                size(gpu.memory_total),
            ]
            .map(|text| cell(&text)),
        );
    }
    format!("\n{}\n", table.trim_fmt())
}

fn devices(report: &Report, terminal: &Terminal) -> String {
    if report.devices.is_empty() {
        return String::new();
    }
    let mut table = terminal.table(&["DEVICE", "CLASS", "NAME", "NODE"]);
    for device in &report.devices {
        table.add_row(
            [
                device.address.to_string(),
                device.class.to_string(),
                match device.names.as_slice() {
                    [] => "-".to_owned(),
                    names => harmless(&names.join(", ")),
                },
                device.node.map_or("?".to_owned(), |node| node.to_string()),
            ]
            .map(|text| cell(&text)),
        );
    }
    format!("\n{}\n", table.trim_fmt())
}
