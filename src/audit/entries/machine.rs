//! Fills the machine's part of the document.

use std::collections::BTreeMap;

use crate::audit::entries::process::scheduler_job;
use crate::audit::place::{GpuPlace, LocalNodes, Locality, devices};
use crate::document::{
    CoreEntry, DeviceEntry, DeviceUserEntry, GpuEntry, HostEntry, HugePagesEntry, NodeEntry,
    PartitionEntry, TopologyEntry,
};
use crate::machine::{Core, DeviceUser, Gpu, Host, HugePool, Node, Partition, PciDevice, Topology};
use crate::units::{Bytes, NodeId, NodeSet};

pub(crate) fn host(host: Host) -> HostEntry {
    let (node_name, source) = host.scheduler_node.unzip();
    let jobs = host.observer_jobs.into_iter();
    HostEntry {
        node_name,
        node_name_source: source.map(str::to_owned),
        observer_jobs: jobs.map(scheduler_job).collect(),
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
    device_users: Vec<DeviceUser>,
    cores: Vec<Core>,
) -> TopologyEntry {
    TopologyEntry {
        nodes: topology.nodes().iter().map(node).collect(),
        gpus,
        devices: devices.into_iter().map(device).collect(),
        device_users: device_users.into_iter().map(device_user).collect(),
        cores: cores.into_iter().map(core).collect(),
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
        package: node.package,
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
pub(crate) fn gpu(place: &GpuPlace, topology: &Topology) -> GpuEntry {
    let gpu = &place.gpu;
    let answers = place.answers.iter();
    let drm = gpu.drm.iter();
    let (partitions, modes) = (
        drm.clone().flat_map(|drm| &drm.partitions),
        drm.flat_map(|drm| drm.modes.iter().flatten()),
    );
    GpuEntry {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        pci_bus_id: gpu.address,
        device_file: device_file(gpu),
        home_nodes: place.home_nodes.clone(),
        home_source: place.source.into(),
        home_answers: answers
            .map(|(source, nodes)| ((*source).into(), nodes.clone()))
            .collect(),
        local_nodes: place.local_nodes.clone(),
        local_memory_nodes: Some(place.local_memory_nodes.clone()),
        near_nodes: Some(near_nodes(place, topology)),
        own_memory_nodes: gpu.own_memory_node.into_iter().collect(),
        memory_total_bytes: gpu.memory_total,
        memory_used_bytes: gpu.memory_used,
        mig_devices: gpu.mig_devices.clone(),
        partitions: partitions.map(partition).collect(),
        partition_modes: modes.cloned().collect(),
        in_scope: None,
        processes_known: None,
        unseen_processes: Vec::new(),
    }
}

/// The nodes beside the local ones, whether or not `--strict-node` judges them like remote ones.
fn near_nodes(place: &GpuPlace, topology: &Topology) -> NodeSet {
    let own_memory = place.gpu.own_memory_node.into_iter().collect();
    let local = LocalNodes {
        nodes: &place.local_nodes,
        memory_nodes: &place.local_memory_nodes,
        has_gpu: true,
        gpu_memory: &own_memory,
        topology,
        strict_node: false,
    };
    let is_near = |node: &NodeId| {
        [local.locality(*node), local.memory_locality(*node)].contains(&Locality::Near)
    };
    let nodes = topology.nodes().keys().copied();
    nodes.filter(is_near).collect()
}

fn partition(partition: &Partition) -> PartitionEntry {
    PartitionEntry {
        partition: partition.number,
        render_node: render_node(partition),
        kfd_id: partition.kfd_id,
    }
}

/// The name of its file in `/dev/dri`.
pub(crate) fn render_node(partition: &Partition) -> Option<String> {
    partition
        .render_minor
        .map(|minor| format!("renderD{minor}"))
}

/// `/dev/nvidia0`, `/dev/dri/renderD128`. A GPU in partitions has a file for each.
fn device_file(gpu: &Gpu) -> Option<String> {
    let Some(drm) = &gpu.drm else {
        return gpu.minor.map(|minor| format!("/dev/nvidia{minor}"));
    };
    let is_render = |name: &&String| {
        let number = name.strip_prefix("renderD");
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let mut names = drm.nodes.iter().filter(is_render);
    match (names.next(), names.next()) {
        (Some(name), None) if drm.partitions.is_empty() => Some(format!("/dev/dri/{name}")),
        _ => None,
    }
}

fn core(core: Core) -> CoreEntry {
    CoreEntry {
        package: core.package,
        cpus: core.cpus,
    }
}

fn device_user(user: DeviceUser) -> DeviceUserEntry {
    DeviceUserEntry {
        pid: user.pid,
        name: user.name,
        files: user.files,
    }
}

fn device(device: PciDevice) -> DeviceEntry {
    DeviceEntry {
        model: device.vendor.map(|_| devices::name(&device)),
        driver: device.driver,
        may_compute: device.may_compute,
        pci_bus_id: device.address,
        class: device.class.into(),
        name: (!device.names.is_empty()).then(|| device.names.join(",")),
        node: device.node,
    }
}
