//! Sums by how far they are from a GPU.

use std::collections::BTreeMap;
use std::iter::Sum;

use crate::document::GpuEntry;
use crate::units::{NodeId, NodeSet};

/// The nodes of a GPU.
pub(super) struct Places<'a> {
    local: Vec<&'a NodeSet>,
    near: &'a NodeSet,
}

/// A number for each place: its label, and the number.
pub(super) type ByPlace<T> = [(&'static str, T); 3];

impl<'a> Places<'a> {
    /// Where CPU time is spent. `None` where it is unknown which nodes are local.
    pub(super) fn of_cpus(gpu: &'a GpuEntry) -> Option<Self> {
        let near = gpu.near_nodes.as_ref()?;
        (!gpu.local_nodes.is_empty()).then(|| Self {
            local: vec![&gpu.local_nodes],
            near,
        })
    }

    /// Where memory is. The GPU's own memory is local, and so is what a process touches first on its local nodes.
    pub(super) fn of_memory(gpu: &'a GpuEntry) -> Option<Self> {
        let memory = gpu.local_memory_nodes.as_ref()?;
        let mut places = Self::of_cpus(gpu)?;
        places.local.extend([memory, &gpu.own_memory_nodes]);
        (!memory.is_empty()).then_some(places)
    }

    /// Adds up numbers by node. Every place is in the sum.
    pub(super) fn sum<T: Copy + Sum>(&self, by_node: &BTreeMap<NodeId, T>) -> ByPlace<T> {
        let of = |place| {
            let nodes = by_node
                .iter()
                .filter(|(node, _)| self.place(**node) == place);
            nodes.map(|(_, number)| *number).sum()
        };
        ["local", "near", "remote"].map(|place| (place, of(place)))
    }

    fn place(&self, node: NodeId) -> &'static str {
        if self.local.iter().any(|nodes| nodes.contains(&node)) {
            "local"
        } else if self.near.contains(&node) {
            "near"
        } else {
            "remote"
        }
    }
}
