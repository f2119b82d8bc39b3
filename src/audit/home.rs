//! On which node a GPU hangs, and how that is known. A guess is worse than `unknown`: -1 is never
//! taken for node 0.

use std::fmt;

use crate::model::gpu::Gpu;
use crate::model::topology::{NodeId, NodeSet, Topology};

/// A GPU with its place.
#[derive(Debug, Clone)]
pub struct GpuPlace {
    /// As it was observed.
    pub gpu: Gpu,
    /// The nodes that it is attached to. Empty where that is not known.
    pub home_nodes: NodeSet,
    /// How that was learnt.
    pub source: HomeSource,
    /// Where a process of it should run: the home nodes that have CPUs or, where none has, the
    /// nearest that do.
    pub local_nodes: NodeSet,
}

/// Who told a GPU's home nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeSource {
    /// `numa_node` of its PCI device.
    Sysfs,
    /// Only one node of the machine has CPUs.
    SingleNode,
    /// Nobody.
    Unknown,
}

impl fmt::Display for HomeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sysfs => "sysfs",
            Self::SingleNode => "single-node",
            Self::Unknown => "unknown",
        })
    }
}

/// A source of home nodes: what it says of a GPU, empty where it says nothing.
type Rung = (HomeSource, fn(&Gpu, &Topology) -> NodeSet);

/// The sources; the first that speaks is believed.
const LADDER: &[Rung] = &[
    (HomeSource::Sysfs, |gpu, _| {
        gpu.sysfs_node.into_iter().collect()
    }),
    (HomeSource::SingleNode, |_, topology| {
        let bearing = topology.cpu_bearing();
        if bearing.len() == 1 {
            bearing
        } else {
            NodeSet::new()
        }
    }),
];

/// Finds a GPU's home.
pub fn place(gpu: Gpu, topology: &Topology) -> GpuPlace {
    let answers = LADDER
        .iter()
        .map(|(source, ask)| (*source, ask(&gpu, topology)));
    let mut spoken = answers.filter(|(_, nodes)| !nodes.is_empty());
    let (source, home_nodes) = spoken
        .next()
        .unwrap_or((HomeSource::Unknown, NodeSet::new()));
    GpuPlace {
        local_nodes: nearest_with_cpus(&home_nodes, topology),
        gpu,
        home_nodes,
        source,
    }
}

/// The home nodes that have CPUs or, where none has, the CPU-bearing nodes at the least distance.
/// Empty where the distances are not known.
fn nearest_with_cpus(home: &NodeSet, topology: &Topology) -> NodeSet {
    let bearing = topology.cpu_bearing();
    let with_cpus: NodeSet = home.intersection(&bearing).copied().collect();
    if !with_cpus.is_empty() {
        return with_cpus;
    }
    let distance = |to: &NodeId| {
        let from = home.iter().filter_map(|node| topology.nodes().get(node));
        from.filter_map(|node| node.distances.get(to))
            .min()
            .copied()
    };
    let least = bearing.iter().filter_map(distance).min();
    let nearest = bearing
        .iter()
        .filter(|node| least.is_some() && distance(node) == least);
    nearest.copied().collect()
}
