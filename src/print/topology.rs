//! The map of a machine, without processes.

use crate::document::{DeviceEntry, Document, GpuEntry};
use crate::print::gaps::gaps;
use crate::print::node_table::{names, nodes};
use crate::print::picture::map::{BoxStyle, map};
use crate::print::{Terminal, cell, findings, harmless, head, known, or_unknown};
use crate::units::node_list;

/// The whole map.
pub(crate) fn topology(document: &Document, style: BoxStyle, terminal: &Terminal) -> String {
    let mut out = terminal.wrap("", &head(&document.host), 2);
    out.push('\n');
    out += &map(document, style, terminal);
    out += &nodes(document, terminal);
    out += &gpus(document, terminal);
    out += &devices(document, terminal);
    out += &findings(document, terminal);
    out + &gaps(document, terminal)
}

fn gpus(document: &Document, terminal: &Terminal) -> String {
    if document.topology.gpus.is_empty() {
        return "\nNo GPU visible\n".to_owned();
    }
    let mut table = terminal.table(&GPU_HEADER);
    for gpu in &document.topology.gpus {
        table.add_row(gpu_cells(gpu).map(|text| cell(&text)));
    }
    format!("\n{}\n", table.trim_fmt())
}

/// The columns of the table of GPUs.
pub(crate) const GPU_HEADER: [&str; 7] = [
    "GPU",
    "NAME",
    "PCI",
    "HOME NODE",
    "KNOWN FROM",
    "LOCAL NODES",
    "MEMORY",
];

/// The cells of a GPU.
pub(crate) fn gpu_cells(gpu: &GpuEntry) -> [String; 7] {
    [
        gpu.index.to_string(),
        gpu.name.as_deref().map_or("?".to_owned(), harmless),
        known(gpu.pci_bus_id.as_ref()),
        or_unknown(node_list(&gpu.home_nodes)),
        harmless(gpu.home_source.as_str()),
        or_unknown(node_list(&gpu.local_nodes)),
        known(gpu.memory_total_bytes.as_ref()),
    ]
}

fn devices(document: &Document, terminal: &Terminal) -> String {
    if document.topology.devices.is_empty() {
        return String::new();
    }
    let mut table = terminal.table(&DEVICE_HEADER);
    for device in &document.topology.devices {
        table.add_row(device_cells(device).map(|text| cell(&text)));
    }
    format!("\n{}\n", table.trim_fmt())
}

/// The columns of the table of devices.
pub(crate) const DEVICE_HEADER: [&str; 4] = ["DEVICE", "CLASS", "NAME", "NODE"];

/// The cells of a device that is no GPU.
pub(crate) fn device_cells(device: &DeviceEntry) -> [String; 4] {
    let mut names = names(device).join(", ");
    if names.is_empty() {
        names = device.model.clone().unwrap_or_default();
    }
    if let Some(driver) = &device.driver {
        names = format!("{names} (driver {driver})").trim().to_owned();
    }
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
}
