//! What of a machine is another than it was.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::outline::{GpuOutline, NodeOutline, Outline};
use crate::units::{Bytes, NodeId, NodeSet, node_list, ranges};

/// One thing that is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineChange {
    /// What.
    pub what: String,
    /// Whether it tells one machine, or one state of its software, from the next, and says nothing of its shape.
    pub is_identity: bool,
    /// The GPU that it is about, by its later index.
    pub gpu: Option<u32>,
    /// What it was; `None` where that was not known.
    pub before: Option<String>,
    /// What it is; `None` where that is not known.
    pub after: Option<String>,
}

/// Nodes' memory may differ by so much between like machines, and between kernels on one: they keep some to themselves.
const MEMORY_TOLERANCE_PERCENT: u128 = 1;

/// All that is another.
pub fn changes(before: &Outline, after: &Outline) -> Vec<MachineChange> {
    let mut changes = Changes::default();
    let (one, other) = (&before.host, &after.host);
    let mut identity = |what: &str, one: &Option<String>, other: &Option<String>| {
        changes.put(what.to_owned(), true, None, one.clone(), other.clone());
    };
    identity("host", &one.hostname, &other.hostname);
    identity("Linux", &one.kernel, &other.kernel);
    identity("NVIDIA driver", &one.driver_version, &other.driver_version);
    let (one, other) = (&before.settings, &after.settings);
    let mut setting = |what: &str, one: Option<u32>, other: Option<u32>| {
        let text = |value: u32| value.to_string();
        changes.put(what.to_owned(), false, None, one.map(text), other.map(text));
    };
    setting(
        "kernel.numa_balancing",
        one.numa_balancing,
        other.numa_balancing,
    );
    setting(
        "vm.zone_reclaim_mode",
        one.zone_reclaim_mode,
        other.zone_reclaim_mode,
    );
    nodes(&before.nodes, &after.nodes, &mut changes);
    gpus(&before.gpus, &after.gpus, &mut changes);
    changes.0
}

#[derive(Default)]
struct Changes(Vec<MachineChange>);

impl Changes {
    /// Adds what is another, or known on one side alone.
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
}

fn nodes(
    before: &BTreeMap<NodeId, NodeOutline>,
    after: &BTreeMap<NodeId, NodeOutline>,
    changes: &mut Changes,
) {
    let list = |nodes: &BTreeMap<NodeId, NodeOutline>| {
        let ids = ranges(nodes.keys().map(|id| id.0));
        Some(ids).filter(|ids| !ids.is_empty())
    };
    changes.put(
        "NUMA nodes".to_owned(),
        false,
        None,
        list(before),
        list(after),
    );
    for (id, one) in before {
        let Some(other) = after.get(id) else { continue };
        let mut of_node = |what: &str, one: Option<String>, other: Option<String>| {
            changes.put(format!("{what} of node {id}"), false, None, one, other);
        };
        let cpus = |node: &NodeOutline| {
            let list = node.cpus.as_ref()?.to_string();
            Some(if list.is_empty() {
                "none".to_owned()
            } else {
                list
            })
        };
        of_node("CPUs", cpus(one), cpus(other));
        let (size, other_size) = (one.memory_total, other.memory_total);
        if !is_about(size, other_size) {
            let tell = |size: Bytes| size.to_string();
            of_node("memory", size.map(tell), other_size.map(tell));
        }
        of_node("distances", distances(one), distances(other));
    }
}

fn is_about(one: Option<Bytes>, other: Option<Bytes>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            let apart = u128::from(one.0.abs_diff(other.0));
            apart * 100 <= u128::from(one.0.max(other.0)) * MEMORY_TOLERANCE_PERCENT
        }
        _ => one == other,
    }
}

/// `10 21`, as the kernel's file has them.
fn distances(node: &NodeOutline) -> Option<String> {
    let distances: Vec<String> = node.distances.values().map(ToString::to_string).collect();
    (!distances.is_empty()).then(|| distances.join(" "))
}

/// A GPU is known again by its slot, else by its index.
fn gpus(before: &[GpuOutline], after: &[GpuOutline], changes: &mut Changes) {
    let by_address = |gpus: &[GpuOutline]| -> BTreeMap<_, _> {
        let with_address = gpus.iter().enumerate();
        let with_address = with_address.filter_map(|(at, gpu)| Some((gpu.address?, at)));
        with_address.collect()
    };
    let (there, here) = (by_address(before), by_address(after));
    let mut partner: BTreeMap<usize, usize> = there
        .iter()
        .filter_map(|(address, one)| Some((*one, *here.get(address)?)))
        .collect();
    let taken: BTreeSet<usize> = partner.values().copied().collect();
    let by_index: BTreeMap<u32, usize> = after
        .iter()
        .zip(0..)
        .filter(|(_, at)| !taken.contains(at))
        .map(|(gpu, at)| (gpu.index, at))
        .collect();
    for (one, gpu) in before.iter().enumerate() {
        if let (false, Some(other)) = (partner.contains_key(&one), by_index.get(&gpu.index)) {
            partner.insert(one, *other);
        }
    }
    let paired: BTreeSet<usize> = partner.values().copied().collect();
    for (one, gpu) in before.iter().enumerate() {
        match partner.get(&one) {
            Some(other) => of_gpu(gpu, &after[*other], changes),
            None => changes.put(
                format!("GPU {}", gpu.index),
                false,
                None,
                Some(known_as(gpu)),
                Some("none".to_owned()),
            ),
        }
    }
    for (at, gpu) in after.iter().enumerate() {
        if !paired.contains(&at) {
            changes.put(
                format!("GPU {}", gpu.index),
                false,
                Some(gpu.index),
                Some("none".to_owned()),
                Some(known_as(gpu)),
            );
        }
    }
}

fn known_as(gpu: &GpuOutline) -> String {
    let address = gpu.address.map(|address| address.to_string());
    let words: Vec<String> = gpu.name.clone().into_iter().chain(address).collect();
    match words.is_empty() {
        true => "there".to_owned(),
        false => words.join(" "),
    }
}

fn of_gpu(one: &GpuOutline, other: &GpuOutline, changes: &mut Changes) {
    let gpu = Some(other.index);
    let mut of_gpu = |what: &str, is_identity, before, after: Option<String>| {
        let what = format!("{what} of GPU {}", other.index);
        changes.put(what, is_identity, gpu, before, after);
    };
    let index = |gpu: &GpuOutline| Some(gpu.index.to_string());
    let address = |gpu: &GpuOutline| gpu.address.map(|address| address.to_string());
    let home = |gpu: &GpuOutline| nodes_known(&gpu.home_nodes);
    of_gpu("index", false, index(one), index(other));
    of_gpu("PCI address", false, address(one), address(other));
    of_gpu("name", false, one.name.clone(), other.name.clone());
    of_gpu("home node", false, home(one), home(other));
    of_gpu("UUID", true, one.uuid.clone(), other.uuid.clone());
}

fn nodes_known(nodes: &NodeSet) -> Option<String> {
    (!nodes.is_empty()).then(|| node_list(nodes))
}
