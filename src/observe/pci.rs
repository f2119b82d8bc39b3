//! PCI devices: `/sys/bus/pci/devices`.

use crate::machine::{Fact, Gaps, PciDevice, Reason};
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Malformed, NodeId, PciAddress, malformed, number, value};
use crate::words::PciClass;

const PCI_DEVICES: &str = "sys/bus/pci/devices";

/// PCI vendor ids.
pub(crate) mod vendor {
    pub(crate) const NVIDIA: u32 = 0x10de;
    pub(crate) const AMD: u32 = 0x1002;
    pub(crate) const INTEL: u32 = 0x8086;
}

/// A PCI device with its folder in sysfs.
#[derive(Debug)]
pub(crate) struct SysfsPciDevice {
    pub(crate) device: PciDevice,
    /// Below `sys/devices`, inside the folder of the bridge above it.
    pub(crate) folder: String,
}

/// The devices of the classes in [`PciClass`], by address.
pub(crate) fn read_pci(root: &Root, gaps: &mut Gaps) -> Vec<SysfsPciDevice> {
    let names = match root.names(PCI_DEVICES) {
        // A machine without PCI has no such folder.
        Err(Reason::Absent) => Vec::new(),
        names => gaps
            .value_or_note(None, Fact::PciDevices, names)
            .unwrap_or_default(),
    };
    let mut addresses: Vec<PciAddress> = names.iter().filter_map(|n| n.parse().ok()).collect();
    addresses.sort_unstable();
    addresses
        .into_iter()
        .filter_map(|address| read_device(root, address, gaps))
        .collect()
}

fn read_device(root: &Root, address: PciAddress, gaps: &mut Gaps) -> Option<SysfsPciDevice> {
    let folder = device_folder(root, address);
    let file = |name: &str| format!("{folder}/{name}");
    let code = read_as(root, &file("class"), parse_hex).ok()?;
    // The folders of the device that hold the kernel's names for it.
    let (class, named_in): (_, &[&str]) = match code >> 16 {
        0x01 => (PciClass::Storage, &["nvme"]),
        0x02 => (PciClass::Network, &["infiniband", "net"]),
        0x03 => (PciClass::Display, &[]),
        0x12 => (PciClass::Accelerator, &[]),
        _ => return None,
    };
    let may_be_gpu = matches!(class, PciClass::Display | PciClass::Accelerator);
    let id = |name: &str| read_as(root, &file(name), parse_hex).ok();
    let (vendor, device, driver) = match may_be_gpu {
        true => (id("vendor"), id("device"), read_driver(root, &folder)),
        false => (None, None, None),
    };
    let is_given_away = driver.as_deref() == Some("vfio-pci");
    // A VGA controller of a board is a display alone. A container sees all of NVIDIA's GPUs on the bus, also those that it was
    // not given: NVIDIA's driver knows which are its own.
    let is_of = |vendors: &[u32]| vendor.is_some_and(|vendor| vendors.contains(&vendor));
    let may_compute = match code >> 8 {
        _ if is_of(&[vendor::NVIDIA]) => is_given_away,
        0x0300 => is_given_away && is_of(&[vendor::AMD, vendor::INTEL]),
        0x0380 => is_of(&[vendor::AMD, vendor::INTEL]),
        0x0302 => true,
        _ => class == PciClass::Accelerator,
    };
    let node = read_as(root, &file("numa_node"), parse_numa_node);
    let names = named_in.iter().flat_map(|folder| root.names(&file(folder)));
    Some(SysfsPciDevice {
        device: PciDevice {
            address,
            class,
            names: names.flatten().collect(),
            node: gaps
                .value_or_note(None, Fact::PciNode(address), node)
                .flatten(),
            vendor,
            device,
            driver,
            may_compute,
        },
        folder,
    })
}

/// The name of the driver that is bound to a device: the line `DRIVER=` of its `uevent`. A tree made by hand may have the link
/// in its place.
fn read_driver(root: &Root, folder: &str) -> Option<String> {
    if let Ok(text) = root.read(&format!("{folder}/uevent")) {
        let mut lines = value(&text).lines();
        return lines.find_map(|line| line.strip_prefix("DRIVER=").map(str::to_owned));
    }
    let target = root.link(&format!("{folder}/driver")).ok()?;
    Some(target.rsplit('/').next()?.to_owned())
}

/// The folder to which the link in `sys/bus/pci/devices` leads. A recording may have the files in the place of the link.
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
    if folder.starts_with(&["sys", "devices"]) {
        folder.join("/")
    } else {
        listed
    }
}

/// The node of the nearest bridge above a device that has one. `None` where no bridge has a node, or where the tree does
/// not show the bridges.
pub(crate) fn read_parent_node(root: &Root, folder: &str) -> Option<NodeId> {
    let mut above = folder;
    loop {
        above = above.rsplit_once('/')?.0;
        let name = above.rsplit('/').next()?;
        name.parse::<PciAddress>().ok()?;
        let node = read_as(root, &format!("{above}/numa_node"), parse_numa_node);
        if let Ok(Some(node)) = node {
            return Some(node);
        }
    }
}

/// Parses `numa_node`. -1 is `None`: the kernel does not know the node.
pub(crate) fn parse_numa_node(bytes: &[u8]) -> Result<Option<NodeId>, Malformed> {
    match value(bytes) {
        "-1" => Ok(None),
        text => Ok(Some(NodeId(number("numa_node", text.as_bytes())?))),
    }
}

/// Parses `class`, `vendor` or `device`: `0x030200`.
pub(crate) fn parse_hex(bytes: &[u8]) -> Result<u32, Malformed> {
    let text = value(bytes);
    let digits = text.strip_prefix("0x").unwrap_or(text);
    match u32::from_str_radix(digits, 16) {
        Ok(number) if !digits.starts_with('+') => Ok(number),
        _ => malformed("not a hexadecimal number", text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn minus_one_is_not_node_zero() {
        assert_eq!(parse_numa_node(b"-1\n"), Ok(None));
        assert_eq!(parse_numa_node(b"0\n"), Ok(Some(NodeId(0))));
        assert!(parse_numa_node(b"-2\n").is_err());
        assert!(parse_numa_node(b"").is_err());
    }

    #[test]
    fn parses_class_codes() {
        assert_eq!(parse_hex(b"0x030200\n"), Ok(0x030200));
        assert!(parse_hex(b"0x\n").is_err() && parse_hex(b"0x+1").is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_numa_node(&bytes);
            let _ = parse_hex(&bytes);
        }
    }
}
