//! What sysfs tells: NUMA nodes and PCI devices.

use std::collections::BTreeMap;

use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::pci::{PciClass, PciDevice};
use crate::machine::topology::{Node, Topology};
use crate::observe::nodes::{parse_distances, parse_hex, parse_node_meminfo, parse_pci_node};
use crate::observe::root::Root;
use crate::units::{
    Cpu, CpuSet, Malformed, NodeId, NodeSet, PciAddress, parse_cpu_list, parse_cpu_mask,
    parse_node_list, value,
};

const NODES: &str = "sys/devices/system/node";
const PCI_DEVICES: &str = "sys/bus/pci/devices";

/// A vendor's number among PCI's.
pub mod vendor {
    /// NVIDIA.
    pub const NVIDIA: u32 = 0x10de;
    /// AMD, ATI as it was.
    pub const AMD: u32 = 0x1002;
    /// Intel.
    pub const INTEL: u32 = 0x8086;
}

/// Reads one file and parses it; any trouble is a gap.
pub fn read_as<T>(
    root: &Root,
    path: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, Malformed>,
) -> Result<T, Reason> {
    Ok(parse(&root.read(path)?)?)
}

/// Notes a gap where there is no value.
fn or_gap<T>(found: Result<T, Reason>, fact: Fact, gaps: &mut Vec<Gap>) -> Option<T> {
    let note = |reason| {
        gaps.push(Gap {
            pid: None,
            fact,
            reason,
        });
    };
    found.map_err(note).ok()
}

/// Reads the NUMA nodes.
pub fn read_topology(root: &Root, gaps: &mut Vec<Gap>) -> Topology {
    let names = or_gap(root.names(NODES), Fact::Nodes, gaps).unwrap_or_default();
    let numbered = names.iter().filter_map(|name| name.strip_prefix("node"));
    let present: NodeSet = numbered
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

fn read_node(root: &Root, id: NodeId, online: &NodeSet, gaps: &mut Vec<Gap>) -> Node {
    let file = |name: &str| format!("{NODES}/node{id}/{name}");
    let cpus = read_as(root, &file("cpulist"), parse_cpu_list)
        .or_else(|_| read_as(root, &file("cpumap"), parse_cpu_mask));
    let memory = read_as(root, &file("meminfo"), parse_node_meminfo);
    let distances = read_as(root, &file("distance"), |text| {
        parse_distances(text, online)
    });
    let cpus = or_gap(cpus, Fact::NodeCpus(id), gaps);
    let memory = or_gap(memory, Fact::NodeMemory(id), gaps).unwrap_or_default();
    Node {
        package: cpus.as_ref().and_then(|cpus| read_package(root, cpus)),
        cpus,
        memory_total: memory.total,
        memory_free: memory.free,
        distances: or_gap(distances, Fact::NodeDistances(id), gaps).unwrap_or_default(),
    }
}

/// The socket of the first of these CPUs that tells one; -1, as some arm64 firmware has it, is none.
fn read_package(root: &Root, cpus: &CpuSet) -> Option<u32> {
    cpus.iter().find_map(|Cpu(cpu)| {
        let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
        value(&root.read(&file).ok()?).parse().ok()
    })
}

/// What sysfs tells of one PCI device.
#[derive(Debug)]
pub struct Seen {
    /// The device, if it is of a class that is shown.
    pub device: PciDevice,
    /// Whose it is, by PCI's numbers; `None` where that could not be read.
    pub vendor: Option<u32>,
    /// Its own folder: below `sys/devices`, in that of the bridge that it hangs on.
    pub folder: String,
}

impl Seen {
    /// Whether it is a GPU of NVIDIA's, as far as vendor and class tell.
    pub fn is_nvidia_gpu(&self) -> bool {
        self.device.class == PciClass::Display && self.vendor == Some(vendor::NVIDIA)
    }
}

/// A device's own folder, to which `sys/bus/pci/devices` has a link. A recording may have the files in the place
/// of the link.
fn device_folder(root: &Root, address: PciAddress) -> String {
    let listed = format!("{PCI_DEVICES}/{address}");
    let Ok(target) = root.link(&listed) else {
        return listed;
    };
    let mut folder: Vec<&str> = PCI_DEVICES.split('/').collect();
    for step in target.split('/') {
        match step {
            ".." => drop(folder.pop()),
            step => folder.push(step),
        }
    }
    match folder.starts_with(&["sys", "devices"]) {
        true => folder.join("/"),
        false => listed,
    }
}

/// The node of the nearest bridge above a device that has one; `None` where none has, or the tree does not tell
/// what is above.
pub fn read_parent_node(root: &Root, folder: &str) -> Option<NodeId> {
    let mut above = folder;
    loop {
        above = above.rsplit_once('/')?.0;
        let name = above.rsplit('/').next()?;
        name.parse::<PciAddress>().ok()?;
        let node = read_as(root, &format!("{above}/numa_node"), parse_pci_node);
        if let Ok(Some(node)) = node {
            return Some(node);
        }
    }
}

/// Reads the PCI devices of the classes that are shown, by address.
pub fn read_pci(root: &Root, gaps: &mut Vec<Gap>) -> Vec<Seen> {
    let names = match root.names(PCI_DEVICES) {
        // A machine without PCI has no such folder.
        Err(Reason::Absent) => Vec::new(),
        names => or_gap(names, Fact::PciDevices, gaps).unwrap_or_default(),
    };
    let mut addresses: Vec<PciAddress> = names.iter().filter_map(|n| n.parse().ok()).collect();
    addresses.sort_unstable();
    let seen = addresses.into_iter();
    seen.filter_map(|address| read_pci_device(root, address, gaps))
        .collect()
}

fn read_pci_device(root: &Root, address: PciAddress, gaps: &mut Vec<Gap>) -> Option<Seen> {
    let folder = device_folder(root, address);
    let file = |name: &str| format!("{folder}/{name}");
    let code = read_as(root, &file("class"), parse_hex).ok()?;
    // Which folder of the device holds the names that the kernel gave it.
    let (class, named_in): (_, &[&str]) = match code >> 16 {
        0x01 => (PciClass::Storage, &["nvme"]),
        0x02 => (PciClass::Network, &["infiniband", "net"]),
        0x03 => (PciClass::Display, &[]),
        0x12 => (PciClass::Accelerator, &[]),
        _ => return None,
    };
    let vendor = read_as(root, &file("vendor"), parse_hex).ok();
    let node = read_as(root, &file("numa_node"), parse_pci_node);
    let names = named_in.iter().flat_map(|folder| root.names(&file(folder)));
    Some(Seen {
        device: PciDevice {
            address,
            class,
            names: names.flatten().collect(),
            node: or_gap(node, Fact::PciNode(address), gaps).flatten(),
        },
        vendor,
        folder,
    })
}
