//! NUMA nodes: `/sys/devices/system/node`, and the sockets of their CPUs.

use std::collections::BTreeMap;

use crate::machine::{Fact, Gaps, HugePool, Node, Topology};
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{
    Bytes, Cpu, CpuSet, Malformed, NodeId, NodeSet, malformed, number, parse_cpu_list,
    parse_cpu_mask, parse_node_list, value,
};

const NODES: &str = "sys/devices/system/node";

pub(crate) fn read_topology(root: &Root, gaps: &mut Gaps) -> Topology {
    let names = gaps
        .value_or_note(None, Fact::Nodes, root.names(NODES))
        .unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.strip_prefix("node"));
    let present: NodeSet = numbers
        .filter_map(|number| number.parse().ok().map(NodeId))
        .filter(|id| *id < NodeId::END)
        .collect();
    // The distances have a column for each online node. A hand-made tree may lack the list.
    let online = read_as(root, &format!("{NODES}/online"), parse_node_list);
    let online = online.unwrap_or_else(|_| present.clone());
    let nodes: BTreeMap<NodeId, Node> = present
        .iter()
        .map(|id| (*id, read_node(root, *id, &online, gaps)))
        .collect();
    Topology::new(nodes)
}

fn read_node(root: &Root, id: NodeId, online: &NodeSet, gaps: &mut Gaps) -> Node {
    let file = |name: &str| format!("{NODES}/node{id}/{name}");
    let cpus = read_as(root, &file("cpulist"), parse_cpu_list)
        .or_else(|_| read_as(root, &file("cpumap"), parse_cpu_mask));
    let memory = read_as(root, &file("meminfo"), parse_node_meminfo);
    let distances = read_as(root, &file("distance"), |text| {
        parse_distances(text, online)
    });
    let cpus = gaps.value_or_note(None, Fact::NodeCpus(id), cpus);
    let first_package = |cpus: &CpuSet| cpus.iter().find_map(|cpu| read_package(root, cpu));
    let memory = gaps
        .value_or_note(None, Fact::NodeMemory(id), memory)
        .unwrap_or_default();
    Node {
        package: cpus.as_ref().and_then(first_package),
        cpus,
        memory_total: memory.total,
        memory_free: memory.free,
        memory_reclaimable: memory.reclaimable(),
        huge_pages: read_huge_pages(root, id),
        distances: gaps
            .value_or_note(None, Fact::NodeDistances(id), distances)
            .unwrap_or_default(),
    }
}

/// The pools of `hugepages/hugepages-2048kB` and the like. A size of which a file cannot be read is left out.
fn read_huge_pages(root: &Root, id: NodeId) -> Option<BTreeMap<Bytes, HugePool>> {
    /// No processor has more sizes of pages; a recording may claim any number.
    const MOST_SIZES: usize = 16;
    let folder = format!("{NODES}/node{id}/hugepages");
    let names = root.names(&folder).ok()?;
    let pools = names.iter().take(MOST_SIZES).filter_map(|name| {
        let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?;
        let size = Bytes::from_kib(kib.parse().ok()?)?;
        let count = |file: &str| {
            let read = read_as(root, &format!("{folder}/{name}/{file}"), |text| {
                number("a number of huge pages", value(text).as_bytes())
            });
            read.ok()
        };
        let (total, free) = (count("nr_hugepages")?, count("free_hugepages")?);
        Some((size, HugePool { total, free }))
    });
    Some(pools.collect())
}

/// The socket of a CPU (`physical_package_id`). `None` where it is unknown: some arm64 firmware says -1.
pub(crate) fn read_package(root: &Root, Cpu(cpu): Cpu) -> Option<u32> {
    let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
    value(&root.read(&file).ok()?).parse().ok()
}

/// The sizes in a node's `meminfo` that matter; `None` for a line that is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NodeMemory {
    /// MemTotal.
    pub(crate) total: Option<Bytes>,
    /// MemFree: the page cache does not count as free.
    pub(crate) free: Option<Bytes>,
    /// FilePages: the page cache, with tmpfs and other shared memory.
    pub(crate) file_pages: Option<Bytes>,
    /// Shmem: the part of FilePages that cannot be dropped.
    pub(crate) shared: Option<Bytes>,
}

impl NodeMemory {
    fn reclaimable(self) -> Option<Bytes> {
        let shared = self.shared.unwrap_or_default();
        Some(Bytes(self.file_pages?.0.saturating_sub(shared.0)))
    }
}

/// Parses a node's `meminfo`: lines of the form `Node 0 MemTotal: 1024 kB`.
pub(crate) fn parse_node_meminfo(bytes: &[u8]) -> Result<NodeMemory, Malformed> {
    let mut memory = NodeMemory::default();
    for line in value(bytes).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["Node", _, name, size, "kB"] = words[..] else {
            continue;
        };
        let field = match name {
            "MemTotal:" => &mut memory.total,
            "MemFree:" => &mut memory.free,
            "FilePages:" => &mut memory.file_pages,
            "Shmem:" => &mut memory.shared,
            _ => continue,
        };
        let Some(size) = Bytes::from_kib(number("a node's meminfo", size.as_bytes())?) else {
            return malformed("a node's meminfo", line.as_bytes());
        };
        *field = Some(size);
    }
    Ok(memory)
}

/// Parses a node's `distance`: a column for each online node, ascending (node_read_distance in the kernel's
/// drivers/base/node.c).
pub(crate) fn parse_distances(
    bytes: &[u8],
    online: &NodeSet,
) -> Result<BTreeMap<NodeId, u32>, Malformed> {
    let text = value(bytes);
    let columns = text.split_whitespace();
    let distances: Vec<u32> = columns
        .map(|column| number("a node's distances", column.as_bytes()))
        .collect::<Result<_, _>>()?;
    if distances.len() != online.len() {
        let what = format!("{} distances for {} nodes", distances.len(), online.len());
        return malformed(&what, text.as_bytes());
    }
    Ok(online.iter().copied().zip(distances).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parses_meminfo() {
        let text =
            b"Node 1 MemTotal:       16384 kB\nNode 1 MemFree:  4 kB\nNode 1 HugePages_Total: 0\n";
        let memory = parse_node_meminfo(text).unwrap();
        assert_eq!(memory.total, Some(Bytes(16 << 20)));
        assert_eq!(memory.free, Some(Bytes(4096)));
        assert_eq!(memory.reclaimable(), None);
        assert_eq!(parse_node_meminfo(b"").unwrap(), NodeMemory::default());
        let cache = parse_node_meminfo(b"Node 0 FilePages: 12 kB\nNode 0 Shmem: 4 kB\n").unwrap();
        assert_eq!(cache.reclaimable(), Some(Bytes(8192)));
        assert!(parse_node_meminfo(b"Node 0 MemTotal: 99999999999999999999 kB\n").is_err());
        assert!(parse_node_meminfo(b"Node 0 MemTotal: 18446744073709551615 kB\n").is_err());
    }

    #[test]
    fn the_columns_of_distances_are_the_online_nodes() {
        let online = [0, 8, 250].map(NodeId).into();
        let row = parse_distances(b"10 40 80\n", &online).unwrap();
        assert_eq!(row[&NodeId(250)], 80);
        assert!(parse_distances(b"10 40\n", &online).is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_node_meminfo(&bytes);
            let _ = parse_distances(&bytes, &NodeSet::new());
        }
    }
}
