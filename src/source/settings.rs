//! The kernel's settings that have to do with placement.

use std::collections::BTreeSet;

use super::root::Root;
use crate::model::cpus::CpuSet;
use crate::model::settings::Settings;
use crate::model::topology::Topology;
use crate::parse::value;

/// Reads them. A kernel that was built without one has no such file.
pub fn read_settings(root: &Root, topology: &Topology) -> Settings {
    let number = |path: &str| value(&root.read(path).ok()?).parse().ok();
    Settings {
        numa_balancing: number("proc/sys/kernel/numa_balancing"),
        zone_reclaim_mode: number("proc/sys/vm/zone_reclaim_mode"),
        sockets_of_single_node: sockets(root, topology),
    }
}

/// The sockets of the one node's CPUs. `None` where several nodes have CPUs, and where none tells its socket.
fn sockets(root: &Root, topology: &Topology) -> Option<usize> {
    let node = topology.nodes().get(&topology.single_node()?)?;
    let packages = node.cpus.iter().flat_map(CpuSet::iter).filter_map(|cpu| {
        let path = format!(
            "sys/devices/system/cpu/cpu{}/topology/physical_package_id",
            cpu.0
        );
        value(&root.read(&path).ok()?).parse::<u32>().ok()
    });
    let packages: BTreeSet<u32> = packages.collect();
    (!packages.is_empty()).then_some(packages.len())
}
