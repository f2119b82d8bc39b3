//! The kernel's settings that have to do with placement.

use std::collections::BTreeSet;

use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::kernel_settings::KernelSettings;
use crate::machine::topology::Topology;
use crate::observe::root::Root;
use crate::units::{CpuSet, number, value};

/// Reads them. A kernel that was built without one has no such file, which is no gap.
pub fn read_settings(root: &Root, topology: &Topology, gaps: &mut Vec<Gap>) -> KernelSettings {
    let mut setting = |name: &'static str, path: &str| {
        let reason = match read_number(root, path) {
            Ok(number) => return Some(number),
            Err(Reason::Absent) => return None,
            Err(reason) => reason,
        };
        gaps.push(Gap {
            pid: None,
            fact: Fact::Setting(name),
            reason,
        });
        None
    };
    KernelSettings {
        numa_balancing: setting("kernel.numa_balancing", "proc/sys/kernel/numa_balancing"),
        zone_reclaim_mode: setting("vm.zone_reclaim_mode", "proc/sys/vm/zone_reclaim_mode"),
        sockets_of_single_node: sockets(root, topology),
    }
}

fn read_number(root: &Root, path: &str) -> Result<u32, Reason> {
    let text = root.read(path)?;
    Ok(number("no number", value(&text).as_bytes())?)
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
