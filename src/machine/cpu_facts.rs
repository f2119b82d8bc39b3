//! What is known of CPUs beyond their nodes.

use std::collections::BTreeMap;

use crate::units::{Cpu, CpuSet, NodeId};

/// Facts about CPUs.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuFacts {
    /// The CPUs over which the scheduler does not spread threads (`isolcpus=`): `/sys/devices/system/cpu/isolated`. Empty where
    /// there are none; `None` where that is unknown.
    pub(crate) isolated: Option<CpuSet>,
    /// The hardware threads of the same core, for the first CPU of small affinities.
    pub(crate) siblings: BTreeMap<Cpu, CpuSet>,
    /// All cores in the order of [`in_order`]. Read for a map only; `None` where a CPU's core, socket or node is unknown.
    pub(crate) cores: Option<Vec<Core>>,
}

/// A core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Core {
    /// Its socket (`physical_package_id`).
    pub(crate) package: u32,
    /// Its NUMA node.
    pub(crate) node: NodeId,
    /// Its online CPUs, one for each hardware thread. Never empty.
    pub(crate) cpus: CpuSet,
}

impl Core {
    fn first(&self) -> Option<Cpu> {
        self.cpus.iter().next()
    }
}

/// The cores in the order of Slurm and hwloc: socket by socket, in a socket node by node, in a node core by core. Each level is
/// ordered by its lowest CPU, whatever numbers the firmware has for sockets and cores.
pub(crate) fn in_order(mut cores: Vec<Core>) -> Vec<Core> {
    let (mut packages, mut nodes) = (BTreeMap::new(), BTreeMap::new());
    for core in &cores {
        let first = core.first();
        let package = packages.entry(core.package).or_insert(first);
        *package = first.min(*package);
        let node = nodes.entry((core.package, core.node)).or_insert(first);
        *node = first.min(*node);
    }
    cores.sort_by_key(|core| {
        let node = nodes.get(&(core.package, core.node));
        (
            packages.get(&core.package).copied(),
            node.copied(),
            core.first(),
        )
    });
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(cores: &[(u32, u32, &str)]) -> Vec<String> {
        let cores = cores.iter().map(|(package, node, cpus)| Core {
            package: *package,
            node: NodeId(*node),
            cpus: cpus.parse().unwrap(),
        });
        let cores = in_order(cores.collect()).into_iter();
        cores.map(|core| core.cpus.to_string()).collect()
    }

    #[test]
    fn sockets_nodes_and_cores_are_ordered_by_their_lowest_cpu() {
        // Dell's numbering: even CPUs on socket 0.
        let alternating = [(0, 0, "0,4"), (1, 1, "1,5"), (0, 0, "2,6"), (1, 1, "3,7")];
        assert_eq!(order(&alternating), ["0,4", "2,6", "1,5", "3,7"]);
        // The firmware's numbers of arm64 have no order.
        assert_eq!(
            order(&[(116, 0, "0"), (36, 1, "1"), (116, 0, "2")]),
            ["0", "2", "1"]
        );
        // Two nodes that alternate in one socket.
        let nodes = [(0, 1, "0"), (0, 0, "1"), (0, 1, "2"), (0, 0, "3")];
        assert_eq!(order(&nodes), ["0", "2", "1", "3"]);
    }
}
