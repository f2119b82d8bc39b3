//! The machine in the document: nodes, GPUs and other devices.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit::Report;
use crate::audit::place::home::GpuPlace;
use crate::machine::nvml_answer::MigDevice;
use crate::machine::pci::PciDevice;
use crate::machine::topology::Node;
use crate::print::json::ids;
use crate::units::{Bytes, NodeId};

#[derive(Serialize)]
pub(crate) struct TopologyJson<'a> {
    nodes: Vec<NodeJson>,
    gpus: Vec<GpuJson<'a>>,
    devices: Vec<DeviceJson>,
}

pub(crate) fn topology(report: &Report) -> TopologyJson<'_> {
    TopologyJson {
        nodes: report.topology.nodes().iter().map(node).collect(),
        gpus: report.gpus.iter().map(gpu).collect(),
        devices: report.devices.iter().map(device).collect(),
    }
}

/// The kernel's settings; `None` for what could not be read.
#[derive(Serialize)]
struct NodeJson {
    id: u32,
    /// `None` where they could not be read.
    cpus: Option<String>,
    memory_total_bytes: Option<u64>,
    memory_free_bytes: Option<u64>,
    /// `None` where the tree does not tell them.
    distances: Option<BTreeMap<u32, u32>>,
}

fn node((id, node): (&NodeId, &Node)) -> NodeJson {
    let distances = node
        .distances
        .iter()
        .map(|(to, distance)| (to.0, *distance));
    NodeJson {
        id: id.0,
        cpus: node.cpus.as_ref().map(ToString::to_string),
        memory_total_bytes: bytes(node.memory_total),
        memory_free_bytes: bytes(node.memory_free),
        distances: (!node.distances.is_empty()).then(|| distances.collect()),
    }
}

#[derive(Serialize)]
struct GpuJson<'a> {
    index: u32,
    uuid: Option<&'a str>,
    name: Option<&'a str>,
    pci_bus_id: Option<String>,
    home_nodes: Vec<u32>,
    home_source: String,
    /// All that the sources say, by source.
    home_answers: BTreeMap<String, Vec<u32>>,
    local_nodes: Vec<u32>,
    own_memory_nodes: Vec<u32>,
    memory_total_bytes: Option<u64>,
    memory_used_bytes: Option<u64>,
    mig_devices: &'a [MigDevice],
}

fn gpu(place: &GpuPlace) -> GpuJson<'_> {
    let gpu = &place.gpu;
    GpuJson {
        index: gpu.index,
        uuid: gpu.uuid.as_deref(),
        name: gpu.name.as_deref(),
        pci_bus_id: gpu.address.map(|address| address.to_string()),
        home_nodes: ids(&place.home_nodes),
        home_source: place.source.to_string(),
        home_answers: place
            .answers
            .iter()
            .map(|(source, nodes)| (source.to_string(), ids(nodes)))
            .collect(),
        local_nodes: ids(&place.local_nodes),
        own_memory_nodes: ids(&gpu.own_memory_node),
        memory_total_bytes: bytes(gpu.memory_total),
        memory_used_bytes: bytes(gpu.memory_used),
        mig_devices: &gpu.mig_devices,
    }
}

#[derive(Serialize)]
struct DeviceJson {
    pci_bus_id: String,
    class: String,
    /// The kernel's names for it, joined by commas; `null` for none.
    name: Option<String>,
    node: Option<u32>,
}

fn device(device: &PciDevice) -> DeviceJson {
    DeviceJson {
        pci_bus_id: device.address.to_string(),
        class: device.class.to_string(),
        name: (!device.names.is_empty()).then(|| device.names.join(",")),
        node: device.node.map(|node| node.0),
    }
}

fn bytes(size: Option<Bytes>) -> Option<u64> {
    size.map(|size| size.0)
}
