//! Fills the machine's part of the document.

use std::collections::BTreeMap;

use crate::audit::place::GpuPlace;
use crate::document::{DeviceEntry, GpuEntry, HostEntry, HugePagesEntry, NodeEntry, TopologyEntry};
use crate::machine::{Host, HugePool, Node, PciDevice, Topology};
use crate::units::{Bytes, NodeId};

pub(crate) fn host(host: Host) -> HostEntry {
    HostEntry {
        hostname: host.hostname,
        kernel: host.kernel,
        recorded_at: host.recorded_at,
        source: host.origin.into(),
        driver_version: host.driver_version,
    }
}

pub(crate) fn topology(
    topology: &Topology,
    gpus: Vec<GpuEntry>,
    devices: Vec<PciDevice>,
) -> TopologyEntry {
    TopologyEntry {
        nodes: topology.nodes().iter().map(node).collect(),
        gpus,
        devices: devices.into_iter().map(device).collect(),
    }
}

fn node((id, node): (&NodeId, &Node)) -> NodeEntry {
    let distances = Some(node.distances.clone());
    NodeEntry {
        id: *id,
        cpus: node.cpus.clone(),
        memory_total_bytes: node.memory_total,
        memory_free_bytes: node.memory_free,
        memory_reclaimable_bytes: node.memory_reclaimable,
        huge_pages: node.huge_pages.as_ref().map(huge_pages),
        distances: distances.filter(|distances| !distances.is_empty()),
    }
}

fn huge_pages(pools: &BTreeMap<Bytes, HugePool>) -> Vec<HugePagesEntry> {
    let entry = |(size, pool): (&Bytes, &HugePool)| HugePagesEntry {
        page_bytes: *size,
        total: pool.total,
        free: pool.free,
    };
    pools.iter().map(entry).collect()
}

/// A GPU, without what is known of its users.
pub(crate) fn gpu(place: &GpuPlace) -> GpuEntry {
    let gpu = &place.gpu;
    let answers = place.answers.iter();
    GpuEntry {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        pci_bus_id: gpu.address,
        home_nodes: place.home_nodes.clone(),
        home_source: place.source.into(),
        home_answers: answers
            .map(|(source, nodes)| ((*source).into(), nodes.clone()))
            .collect(),
        local_nodes: place.local_nodes.clone(),
        local_memory_nodes: Some(place.local_memory_nodes.clone()),
        own_memory_nodes: gpu.own_memory_node.into_iter().collect(),
        memory_total_bytes: gpu.memory_total,
        memory_used_bytes: gpu.memory_used,
        mig_devices: gpu.mig_devices.clone(),
        in_scope: None,
        processes_known: None,
        unseen_processes: Vec::new(),
    }
}

fn device(device: PciDevice) -> DeviceEntry {
    DeviceEntry {
        pci_bus_id: device.address,
        class: device.class.into(),
        name: (!device.names.is_empty()).then(|| device.names.join(",")),
        node: device.node,
    }
}
