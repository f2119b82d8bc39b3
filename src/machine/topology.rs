//! NUMA nodes: their CPUs, memory, distances and sockets.

use std::collections::BTreeMap;

use crate::units::{Bytes, Cpu, CpuSet, NodeId, NodeSet, PciAddress};

/// What a topology file says of each PCI device. Devices that it does not place are left out.
pub(crate) type PciNodes = BTreeMap<PciAddress, PciPlace>;

/// What a topology file says of one PCI device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PciPlace {
    /// The nodes near it. Never empty.
    Near(NodeSet),
    /// The file places the device more than once and differs from place to place, or it describes several hosts of which not
    /// all place it alike: it does not say where the device of this machine is. These are the nodes that it names.
    Contradictory(NodeSet),
}

/// One NUMA node, from `/sys/devices/system/node/nodeN`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Its CPUs, from `cpulist` or `cpumap`. Empty for a node with memory only; `None` where neither could be read.
    pub(crate) cpus: Option<CpuSet>,
    /// MemTotal of `meminfo`; `None` where there is no such file.
    pub(crate) memory_total: Option<Bytes>,
    /// MemFree of `meminfo`; `None` where there is no such file.
    pub(crate) memory_free: Option<Bytes>,
    /// The page cache that the kernel can drop for other memory: FilePages without Shmem of `meminfo`. `None` where it is not
    /// reported.
    pub(crate) memory_reclaimable: Option<Bytes>,
    /// Its pools of huge pages by the size of a page. `None` where there is no folder `hugepages`.
    pub(crate) huge_pages: Option<BTreeMap<Bytes, HugePool>>,
    /// The distance to each online node; 10 is the node itself. Empty where it is unknown.
    pub(crate) distances: BTreeMap<NodeId, u32>,
    /// The socket of its CPUs (`physical_package_id`). `None` for a node without CPUs, and where the firmware does not report it.
    pub(crate) package: Option<u32>,
}

/// The huge pages of one size that a node has set aside. A process can get the free ones and no others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HugePool {
    /// `nr_hugepages`.
    pub(crate) total: u64,
    /// `free_hugepages`.
    pub(crate) free: u64,
}

impl Node {
    /// Whether it has memory, as far as that is known.
    pub(crate) fn may_have_memory(&self) -> bool {
        self.memory_total != Some(Bytes(0))
    }
}

/// All nodes of a machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topology {
    nodes: BTreeMap<NodeId, Node>,
    node_of_cpu: BTreeMap<Cpu, NodeId>,
}

impl Topology {
    /// Indexes `nodes`. If two nodes list the same CPU (broken firmware), the lower node gets it.
    pub(crate) fn new(nodes: BTreeMap<NodeId, Node>) -> Self {
        let mut node_of_cpu = BTreeMap::new();
        for (id, node) in &nodes {
            for cpu in node.cpus.iter().flat_map(CpuSet::iter) {
                node_of_cpu.entry(cpu).or_insert(*id);
            }
        }
        Self { nodes, node_of_cpu }
    }

    /// The nodes, by number.
    pub(crate) fn nodes(&self) -> &BTreeMap<NodeId, Node> {
        &self.nodes
    }

    /// The node of a CPU. `None` for a CPU without a node: it is offline or was never present.
    pub(crate) fn node_of(&self, cpu: Cpu) -> Option<NodeId> {
        self.node_of_cpu.get(&cpu).copied()
    }

    /// The nodes on which a thread with this affinity can run. The kernel also lists CPUs that are offline or only possible;
    /// they have no node.
    pub(crate) fn nodes_of(&self, cpus: &CpuSet) -> NodeSet {
        cpus.iter().filter_map(|cpu| self.node_of(cpu)).collect()
    }

    /// Whether the CPUs of every node are known.
    pub(crate) fn is_whole(&self) -> bool {
        !self.nodes.is_empty() && self.nodes.values().all(|node| node.cpus.is_some())
    }

    /// The nodes that are known to have CPUs.
    pub(crate) fn cpu_bearing(&self) -> NodeSet {
        let has_cpus = |node: &Node| node.cpus.as_ref().is_some_and(|cpus| !cpus.is_empty());
        let bearing = self.nodes.iter().filter(|(_, node)| has_cpus(node));
        bearing.map(|(id, _)| *id).collect()
    }

    /// The node with all CPUs, if there is exactly one: then placement cannot be wrong.
    pub(crate) fn single_node(&self) -> Option<NodeId> {
        let bearing = self.cpu_bearing();
        let only = (bearing.len() == 1).then_some(bearing);
        only.filter(|_| self.is_whole())?.into_iter().next()
    }

    /// The nodes with CPUs at the least distance from any node of `from`. Empty where it is unknown.
    pub(crate) fn nearest_with_cpus(&self, from: &NodeSet) -> NodeSet {
        if !self.is_whole() {
            return NodeSet::new();
        }
        self.nearest(from, &self.cpu_bearing())
    }

    /// The nodes with memory at the least distance from any node of `from`. Nodes of `excluded` do not count. Empty where it is
    /// unknown.
    pub(crate) fn nearest_with_memory(&self, from: &NodeSet, excluded: &NodeSet) -> NodeSet {
        let others = || self.nodes.iter().filter(|(id, _)| !excluded.contains(id));
        // A node of unknown size may be nearer than all others.
        if others().any(|(_, node)| node.memory_total.is_none()) {
            return NodeSet::new();
        }
        let bearing = others().filter(|(_, node)| node.may_have_memory());
        self.nearest(from, &bearing.map(|(id, _)| *id).collect())
    }

    /// Those of `candidates` at the least distance from any node of `from`. Empty where no distance is known.
    fn nearest(&self, from: &NodeSet, candidates: &NodeSet) -> NodeSet {
        let distance = |to: &NodeId| {
            let from = from.iter().filter_map(|node| self.nodes.get(node));
            from.filter_map(|node| node.distances.get(to))
                .min()
                .copied()
        };
        let least = candidates.iter().filter_map(distance).min();
        let nearest = candidates
            .iter()
            .filter(|node| least.is_some() && distance(node) == least);
        nearest.copied().collect()
    }

    /// All CPUs of these nodes.
    pub(crate) fn cpus_of(&self, nodes: &NodeSet) -> CpuSet {
        let nodes = nodes.iter().filter_map(|id| self.nodes.get(id));
        let cpus = nodes.filter_map(|node| node.cpus.as_ref());
        cpus.flat_map(CpuSet::iter).collect()
    }

    /// Whether two nodes are known to be on the same socket.
    pub(crate) fn same_package(&self, one: NodeId, other: NodeId) -> bool {
        let package = self.package(one);
        package.is_some() && package == self.package(other)
    }

    /// The socket of a node. A node with memory only (HBM, CXL, persistent memory) belongs to the socket of the nearest nodes
    /// with CPUs.
    fn package(&self, id: NodeId) -> Option<u32> {
        let of = |id: &NodeId| self.nodes.get(id)?.package;
        if let Some(package) = of(&id) {
            return Some(package);
        }
        let nearest = self.nearest_with_cpus(&NodeSet::from([id]));
        let mut packages = nearest.iter().map(of);
        let first = packages.next()??;
        packages.all(|other| other == Some(first)).then_some(first)
    }
}
