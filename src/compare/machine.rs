//! What differs between two machines, or between two states of one.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::document::{Document, GpuEntry, HostEntry, NodeEntry, SettingsEntry};
use crate::units::{Bytes, NodeId, NodeSet, node_list, ranges};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct MachineChange {
    /// What differs.
    pub(crate) what: String,
    /// Whether it distinguishes one machine, or one state of its software, from the next, and is no part of its shape.
    #[serde(skip)]
    pub(crate) is_identity: bool,
    /// The GPU that it is about, by its later index.
    pub(crate) gpu: Option<u32>,
    /// The earlier value; `None` where it was unknown.
    pub(crate) before: Option<String>,
    /// The later value; `None` where it is unknown.
    pub(crate) after: Option<String>,
}

/// The memory of nodes differs by up to this between machines of one type, and between kernels on one machine: a kernel
/// keeps some for itself.
const MEMORY_TOLERANCE_PERCENT: u128 = 1;

/// All differences.
pub(crate) fn changes(before: &Document, after: &Document) -> Vec<MachineChange> {
    let mut changes = Changes::default();
    changes.host(&before.host, &after.host);
    changes.settings(&before.settings, &after.settings);
    changes.nodes(&nodes(before), &nodes(after));
    gpus(&before.topology.gpus, &after.topology.gpus, &mut changes);
    changes.0
}

fn nodes(document: &Document) -> BTreeMap<NodeId, &NodeEntry> {
    let nodes = document.topology.nodes.iter();
    nodes.map(|node| (node.id, node)).collect()
}

#[derive(Default)]
struct Changes(Vec<MachineChange>);

impl Changes {
    /// Adds what differs, or is known on one side only.
    fn put(
        &mut self,
        what: String,
        is_identity: bool,
        gpu: Option<u32>,
        before: Option<String>,
        after: Option<String>,
    ) {
        if before != after {
            self.0.push(MachineChange {
                what,
                is_identity,
                gpu,
                before,
                after,
            });
        }
    }

    /// A difference in the shape of the machine.
    fn shape(&mut self, what: impl Into<String>, before: Option<String>, after: Option<String>) {
        self.put(what.into(), false, None, before, after);
    }

    fn host(&mut self, before: &HostEntry, after: &HostEntry) {
        let mut name = |what: &str, one: &Option<String>, other: &Option<String>| {
            self.put(what.to_owned(), true, None, one.clone(), other.clone());
        };
        name("host", &before.hostname, &after.hostname);
        name("Linux", &before.kernel, &after.kernel);
        let (one, other) = (&before.driver_version, &after.driver_version);
        name("NVIDIA driver", one, other);
    }

    fn settings(&mut self, before: &SettingsEntry, after: &SettingsEntry) {
        let text = |value: Option<u32>| value.map(|value| value.to_string());
        let (one, other) = (before.numa_balancing, after.numa_balancing);
        self.shape("kernel.numa_balancing", text(one), text(other));
        let (one, other) = (before.zone_reclaim_mode, after.zone_reclaim_mode);
        self.shape("vm.zone_reclaim_mode", text(one), text(other));
    }

    fn nodes(
        &mut self,
        before: &BTreeMap<NodeId, &NodeEntry>,
        after: &BTreeMap<NodeId, &NodeEntry>,
    ) {
        let list = |nodes: &BTreeMap<NodeId, &NodeEntry>| {
            let ids = ranges(nodes.keys().map(|id| id.0));
            Some(ids).filter(|ids| !ids.is_empty())
        };
        self.shape("NUMA nodes", list(before), list(after));
        for (id, one) in before {
            if let Some(other) = after.get(id) {
                self.node(*id, one, other);
            }
        }
    }

    fn node(&mut self, id: NodeId, before: &NodeEntry, after: &NodeEntry) {
        self.shape(format!("CPUs of node {id}"), cpus(before), cpus(after));
        let (one, other) = (before.memory_total_bytes, after.memory_total_bytes);
        if !is_about(one, other) {
            let text = |size: Option<Bytes>| size.map(|size| size.to_string());
            self.shape(format!("memory of node {id}"), text(one), text(other));
        }
        let (one, other) = (distances(before), distances(after));
        self.shape(format!("distances of node {id}"), one, other);
    }
}

pub(super) fn cpus(node: &NodeEntry) -> Option<String> {
    let list = node.cpus.as_ref()?.to_string();
    Some(if list.is_empty() {
        "none".to_owned()
    } else {
        list
    })
}

pub(super) fn is_about(one: Option<Bytes>, other: Option<Bytes>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let apart = u128::from(one.0.abs_diff(other.0));
            apart * 100 <= u128::from(one.0.max(other.0)) * MEMORY_TOLERANCE_PERCENT
        }
        _ => one == other,
    }
}

/// `10 21`, as the kernel's file has them.
pub(super) fn distances(node: &NodeEntry) -> Option<String> {
    let distances = node.distances.as_ref()?.values();
    let distances: Vec<String> = distances.map(ToString::to_string).collect();
    (!distances.is_empty()).then(|| distances.join(" "))
}

/// GPUs belong together by slot, else by index.
fn gpus(before: &[GpuEntry], after: &[GpuEntry], changes: &mut Changes) {
    let partner = partners(before, after);
    for (at, gpu) in before.iter().enumerate() {
        match partner.get(&at) {
            Some(other) => of_gpu(gpu, &after[*other], changes),
            None => {
                let (was, is) = (Some(known_as(gpu)), Some("none".to_owned()));
                changes.shape(format!("GPU {}", gpu.index), was, is);
            }
        }
    }
    let paired: BTreeSet<usize> = partner.into_values().collect();
    for (at, gpu) in after.iter().enumerate() {
        if !paired.contains(&at) {
            let (was, is) = (Some("none".to_owned()), Some(known_as(gpu)));
            changes.put(
                format!("GPU {}", gpu.index),
                false,
                Some(gpu.index),
                was,
                is,
            );
        }
    }
}

/// The position in `after` of each GPU of `before` that is there.
fn partners(before: &[GpuEntry], after: &[GpuEntry]) -> BTreeMap<usize, usize> {
    let by_address = |gpus: &[GpuEntry]| -> BTreeMap<_, usize> {
        let positions = gpus.iter().zip(0..);
        positions
            .filter_map(|(gpu, at)| Some((gpu.pci_bus_id?, at)))
            .collect()
    };
    let (there, here) = (by_address(before), by_address(after));
    let mut partner: BTreeMap<usize, usize> = there
        .iter()
        .filter_map(|(address, one)| Some((*one, *here.get(address)?)))
        .collect();
    let taken: BTreeSet<usize> = partner.values().copied().collect();
    let free = after.iter().zip(0..).filter(|(_, at)| !taken.contains(at));
    let by_index: BTreeMap<u32, usize> = free.map(|(gpu, at)| (gpu.index, at)).collect();
    for (gpu, at) in before.iter().zip(0..) {
        if let Some(other) = by_index.get(&gpu.index) {
            partner.entry(at).or_insert(*other);
        }
    }
    partner
}

fn known_as(gpu: &GpuEntry) -> String {
    let address = gpu.pci_bus_id.map(|address| address.to_string());
    let words: Vec<String> = gpu.name.clone().into_iter().chain(address).collect();
    if words.is_empty() {
        "there".to_owned()
    } else {
        words.join(" ")
    }
}

fn of_gpu(one: &GpuEntry, other: &GpuEntry, changes: &mut Changes) {
    let gpu = Some(other.index);
    let mut of_gpu = |what: &str, is_identity, before, after: Option<String>| {
        let what = format!("{what} of GPU {}", other.index);
        changes.put(what, is_identity, gpu, before, after);
    };
    let index = |gpu: &GpuEntry| Some(gpu.index.to_string());
    let address = |gpu: &GpuEntry| gpu.pci_bus_id.map(|address| address.to_string());
    let home = |gpu: &GpuEntry| known_nodes(&gpu.home_nodes);
    of_gpu("index", false, index(one), index(other));
    of_gpu("PCI address", false, address(one), address(other));
    of_gpu("name", false, one.name.clone(), other.name.clone());
    of_gpu("home node", false, home(one), home(other));
    of_gpu("UUID", true, one.uuid.clone(), other.uuid.clone());
}

/// `None` for no nodes: they are unknown.
pub(crate) fn known_nodes(nodes: &NodeSet) -> Option<String> {
    (!nodes.is_empty()).then(|| node_list(nodes))
}
