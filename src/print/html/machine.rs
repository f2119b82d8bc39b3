//! The section of the machine's map: nodes, distances, GPUs, other devices, settings.

use maud::{Markup, html};

use crate::document::{CoreEntry, Document};
use crate::print::html::distances::{MOST_NODES, distances};
use crate::print::html::scroll::table;
use crate::print::topology::{DEVICE_HEADER, GPU_HEADER, device_cells, gpu_cells};
use crate::print::{known, node_table};
use crate::units::{Cpu, CpuSet};

/// The distances of more nodes than these are folded.
const UNFOLDED: usize = 16;

/// The section.
pub(super) fn machine(document: &Document) -> Markup {
    let topology = &document.topology;
    html! {
        section id="machine" aria-labelledby="machine-heading" {
            h2 id="machine-heading" { "Machine" }
            (nodes(document))
            @if let Some(distances) = distances(document) {
                @if topology.nodes.len() <= UNFOLDED { (distances) } @else {
                    details { summary { "Distances of " (topology.nodes.len()) " nodes" } (distances) }
                }
            }
            @if topology.gpus.is_empty() { p { "No GPU visible" } } @else {
                (table("GPUs", &GPU_HEADER.map(str::to_owned), &rows(topology.gpus.iter().map(gpu_cells))))
            }
            @if !topology.cores.is_empty() { (sockets(&topology.cores)) }
            @if !topology.devices.is_empty() {
                details {
                    summary { "Other devices (" (topology.devices.len()) ")" }
                    (table("Network, storage and other devices", &DEVICE_HEADER.map(str::to_owned),
                        &rows(topology.devices.iter().map(device_cells))))
                }
            }
            (settings(document))
        }
    }
}

fn rows<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> Vec<Vec<String>> {
    rows.map(Vec::from).collect()
}

fn nodes(document: &Document) -> Markup {
    let count = document.topology.nodes.len();
    if count == 0 {
        return html! { p { (node_table::NO_NODES) } };
    }
    let (mut header, mut rows) = node_table::filled(document, true);
    // The distances have a table of their own, unless they are too many.
    if count <= MOST_NODES {
        header.pop();
        for row in &mut rows {
            row.pop();
        }
    }
    table("NUMA nodes", &header, &rows)
}

fn sockets(cores: &[CoreEntry]) -> Markup {
    let mut sockets: Vec<(u32, usize, Vec<Cpu>)> = Vec::new();
    for core in cores {
        let cpus = core.cpus.iter();
        match sockets.iter_mut().find(|of| of.0 == core.package) {
            Some((_, count, all)) => {
                *count += 1;
                all.extend(cpus);
            }
            None => sockets.push((core.package, 1, cpus.collect())),
        }
    }
    let header = ["SOCKET", "CORES", "CPUS"].map(str::to_owned);
    let rows = sockets.into_iter().map(|(package, count, cpus)| {
        let cpus: CpuSet = cpus.into_iter().collect();
        vec![package.to_string(), count.to_string(), cpus.to_string()]
    });
    table("Sockets", &header, &rows.collect::<Vec<_>>())
}

fn settings(document: &Document) -> Markup {
    let settings = &document.settings;
    let rows = [
        ("kernel.numa_balancing", settings.numa_balancing),
        ("vm.zone_reclaim_mode", settings.zone_reclaim_mode),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), known(value.as_ref())]);
    table(
        "Kernel settings (0 is off)",
        &["SETTING", "VALUE"].map(str::to_owned),
        &rows,
    )
}
