//! The kernel's settings that affect placement.

use std::collections::BTreeSet;

use crate::machine::{Fact, Gaps, KernelSettings, Reason, Topology};
use crate::observe::nodes::read_package;
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{CpuSet, Malformed, number, value};

pub(crate) fn read_settings(root: &Root, topology: &Topology, gaps: &mut Gaps) -> KernelSettings {
    let mut setting = |name: &'static str, path: &str| match read_as(root, path, parse_number) {
        // The kernel was built without it.
        Err(Reason::Absent) => None,
        number => gaps.value_or_note(None, Fact::Setting(name), number),
    };
    KernelSettings {
        numa_balancing: setting("kernel.numa_balancing", "proc/sys/kernel/numa_balancing"),
        zone_reclaim_mode: setting("vm.zone_reclaim_mode", "proc/sys/vm/zone_reclaim_mode"),
        sockets_of_single_node: sockets(root, topology),
    }
}

fn parse_number(text: &[u8]) -> Result<u32, Malformed> {
    number("not a number", value(text).as_bytes())
}

/// `None` where several nodes have CPUs, and where the socket of every CPU is unknown.
fn sockets(root: &Root, topology: &Topology) -> Option<usize> {
    let node = topology.nodes().get(&topology.single_node()?)?;
    let cpus = node.cpus.iter().flat_map(CpuSet::iter);
    let packages: BTreeSet<u32> = cpus.filter_map(|cpu| read_package(root, cpu)).collect();
    (!packages.is_empty()).then_some(packages.len())
}
