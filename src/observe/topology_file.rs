//! Topology files: the XML of NCCL (which clouds ship and NCCL_TOPO_DUMP_FILE writes) and of hwloc (from lstopo).

use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use crate::machine::PciNodes;
use crate::observe::root::read_named;
use crate::units::{Malformed, NodeId, NodeSet, parse_cpu_mask};

/// Why a topology file cannot be used, in one sentence with its path.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the topology file {}: {why}", path.display())]
pub(crate) struct TopologyFileError {
    path: PathBuf,
    why: String,
}

/// lstopo's file of a machine with 8 GPUs and hundreds of CPUs has less than 1 MiB.
const LARGEST_IN_MIB: u64 = 16;

/// The nodes near each PCI device, from a file of NCCL or hwloc.
///
/// # Errors
/// When it cannot be read, has neither form, or has no PCI device with a node.
pub(crate) fn read_topology_file(path: &Path) -> Result<PciNodes, TopologyFileError> {
    let refuse = |why: String| TopologyFileError {
        path: path.to_owned(),
        why,
    };
    let bytes = read_named(path, LARGEST_IN_MIB).map_err(|error| refuse(error.to_string()))?;
    parse(&bytes).map_err(refuse)
}

/// [`parse_topology_file`] of bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<PciNodes, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    parse_topology_file(text).map_err(|error| error.to_string())
}

/// The file of a machine with 8 GPUs has a few thousand elements.
const MOST_ELEMENTS: u32 = 1 << 20;

/// Reads both forms.
pub(crate) fn parse_topology_file(text: &str) -> Result<PciNodes, Malformed> {
    let options = ParsingOptions {
        // hwloc's files refer to their DTD.
        allow_dtd: true,
        nodes_limit: MOST_ELEMENTS,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options);
    let document = document.map_err(|error| Malformed(error.to_string()))?;
    let nodes_by_device = match document.root_element().tag_name().name() {
        "system" => nccl(&document),
        "topology" => hwloc(&document),
        other => {
            return Err(Malformed(format!(
                "<{other}> is neither NCCL's <system> nor hwloc's <topology>"
            )));
        }
    };
    if nodes_by_device.is_empty() {
        return Err(Malformed("it has no PCI device with a node".into()));
    }
    Ok(nodes_by_device)
}

/// `<cpu numaid="1"> … <pci busid="0001:00:00.0"> …`
fn nccl(document: &Document) -> PciNodes {
    let devices = document
        .descendants()
        .filter(|node| node.has_tag_name("pci"));
    let placed = devices.filter_map(|device| {
        let address = device.attribute("busid")?.parse().ok()?;
        let mut above = device.ancestors().filter(|node| node.has_tag_name("cpu"));
        // -1: unknown to NCCL.
        let node = above.next()?.attribute("numaid")?.parse().ok()?;
        Some((address, NodeSet::from([NodeId(node)])))
    });
    placed.collect()
}

/// `<object type="Package" nodeset="0x1"> … <object type="PCIDev" pci_busid="0000:02:00.0">`
fn hwloc(document: &Document) -> PciNodes {
    let is = |node: &Node, kind: &str| node.attribute("type") == Some(kind);
    let devices = document.descendants().filter(|node| is(node, "PCIDev"));
    let placed = devices.filter_map(|device| {
        let address = device.attribute("pci_busid")?.parse().ok()?;
        let mut above = device.ancestors().skip(1);
        // The nearest object above the buses.
        let near = above.find(|node| !is(node, "Bridge") && !is(node, "PCIDev"))?;
        let nodes = nodes(&near)?;
        (!nodes.is_empty()).then_some((address, nodes))
    });
    placed.collect()
}

/// The nodes of an object. hwloc writes a word of zeros as an empty word: `0x00000001,,,0x0`.
fn nodes(object: &Node) -> Option<NodeSet> {
    let mask = object.attribute("nodeset")?;
    let words = mask
        .split(',')
        .map(|word| match word.trim_start_matches("0x") {
            "" => "0",
            word => word,
        });
    let mask = words.collect::<Vec<_>>().join(",");
    let bits = parse_cpu_mask(mask.as_bytes()).ok()?;
    Some(bits.iter().map(|bit| NodeId(bit.0)).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::PciAddress;

    #[track_caller]
    fn places(text: &str, expected: &[(&str, &[u32])]) {
        let read = parse_topology_file(text).unwrap();
        let read: Vec<(String, Vec<u32>)> = read
            .iter()
            .map(|(address, nodes)| {
                (
                    address.to_string(),
                    nodes.iter().map(|node| node.0).collect(),
                )
            })
            .collect();
        let expected: Vec<(String, Vec<u32>)> = expected
            .iter()
            .map(|(address, nodes)| (address.to_string(), nodes.to_vec()))
            .collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn nested_devices_of_nccl_are_read() {
        places(
            r#"<system version="1">
                 <cpu numaid="1" affinity="00000000,ff000000" arch="x86_64">
                   <pci busid="ffff:ff:01.0" class="0x060400">
                     <pci busid="0001:00:00.0" class="0x030200"><gpu dev="0"/></pci>
                   </pci>
                 </cpu>
                 <cpu numaid="-1"><pci busid="0009:00:00.0" class="0x030200"/></cpu>
               </system>"#,
            &[("0001:00:00.0", &[1]), ("ffff:ff:01.0", &[1])],
        );
    }

    /// The nodes of GPUs in a file of fixtures/topology-files, by address.
    fn gpus(file: &str, addresses: &[&str]) -> Vec<u32> {
        let places = parse_topology_file(file).unwrap();
        let of = |address: &&str| places[&address.parse::<PciAddress>().unwrap()].clone();
        addresses.iter().flat_map(of).map(|node| node.0).collect()
    }

    #[test]
    fn the_files_of_clouds_are_read() {
        let azure = include_str!("../../fixtures/topology-files/ndv4.xml");
        let domains = [
            "0001", "0002", "0003", "0004", "000b", "000c", "000d", "000e",
        ];
        let addresses = domains.map(|domain| format!("{domain}:00:00.0"));
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        assert_eq!(gpus(azure, &addresses), [1, 1, 0, 0, 3, 3, 2, 2]);
        let aws = include_str!("../../fixtures/topology-files/p4d.xml");
        let addresses = [
            "10:1c.0", "10:1d.0", "20:1c.0", "20:1d.0", "90:1c.0", "90:1d.0", "a0:1c.0", "a0:1d.0",
        ];
        assert_eq!(gpus(aws, &addresses), [0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn objects_of_both_versions_of_hwloc_are_read() {
        places(
            r#"<?xml version="1.0"?><!DOCTYPE topology SYSTEM "hwloc2.dtd">
               <topology version="2.0"><object type="Machine" nodeset="0x00000003">
                 <object type="Package" nodeset="0x00000002">
                   <object type="NUMANode" os_index="1" nodeset="0x00000002"/>
                   <object type="Bridge"><object type="Bridge">
                     <object type="PCIDev" pci_busid="0000:02:00.0"/>
                   </object></object>
                 </object>
                 <object type="Bridge"><object type="PCIDev" pci_busid="0000:03:00.0"/></object>
               </object></topology>"#,
            &[("0000:02:00.0", &[1]), ("0000:03:00.0", &[0, 1])],
        );
        places(
            r#"<topology><object type="Machine" nodeset="0x1,,0x0"><object type="NUMANode" nodeset="0x1,,0x0">
                 <object type="Bridge"><object type="PCIDev" pci_busid="0000:05:00.0"/></object>
               </object></object></topology>"#,
            &[("0000:05:00.0", &[64])],
        );
    }

    #[test]
    fn a_file_without_placed_devices_is_refused() {
        for text in [
            "",
            "no XML",
            "<html/>",
            "<system/>",
            "<topology><object type=\"Machine\"/></topology>",
        ] {
            assert!(parse_topology_file(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "<system>".repeat(100_000);
        assert!(parse_topology_file(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(<(system|topology|cpu|pci|object)( [a-z]{1,9}=\"[0-9a-fx:,.-]{0,16}\"){0,3}/?>|</[a-z]{1,9}>){0,20}") {
            let _ = parse_topology_file(&text);
        }
    }
}
