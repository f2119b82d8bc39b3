//! Topology files: the XML of NCCL (which clouds ship and NCCL_TOPO_DUMP_FILE writes) and of hwloc (from lstopo).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node, ParsingOptions};

use crate::machine::{PciNodes, PciPlace};
use crate::observe::root::read_named;
use crate::units::{Malformed, NodeId, NodeSet, PciAddress, parse_cpu_mask};

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

/// Every place in a file where a PCI device stands. One file may describe several hosts (NCCL writes one for all hosts of an
/// NVLink domain), which use the same addresses for different devices.
#[derive(Default)]
struct Places<'a> {
    /// Of each device: the host that the place belongs to, and the nodes, which are empty where the file does not know them.
    by_device: BTreeMap<PciAddress, BTreeSet<(Option<FileHost<'a>>, NodeSet)>>,
    hosts: BTreeSet<FileHost<'a>>,
}

/// What distinguishes the hosts of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FileHost<'a> {
    /// NCCL's `host_hash`: a hash of the host's name and boot, which nothing here can recompute with certainty.
    Hash(&'a str),
    /// hwloc's object for a machine, by its position in the file.
    Machine(u32),
}

impl<'a> Places<'a> {
    fn add(&mut self, device: PciAddress, host: Option<FileHost<'a>>, nodes: NodeSet) {
        self.by_device
            .entry(device)
            .or_default()
            .insert((host, nodes));
    }

    /// Which of several hosts is this machine is unknown. So a place counts only if all hosts have it.
    fn merged(self) -> PciNodes {
        let hosts = self.hosts.len();
        let merged = self.by_device.into_iter().filter_map(|(device, places)| {
            let named_by: BTreeSet<_> = places.iter().filter_map(|(host, _)| *host).collect();
            let different: BTreeSet<&NodeSet> = places.iter().map(|(_, nodes)| nodes).collect();
            let all: NodeSet = different.iter().copied().flatten().copied().collect();
            let is_clear = different.len() == 1 && (hosts < 2 || named_by.len() == hosts);
            let place = if is_clear {
                PciPlace::Near(all.clone())
            } else {
                PciPlace::Contradictory(all.clone())
            };
            (!all.is_empty()).then_some((device, place))
        });
        merged.collect()
    }
}

/// `<cpu numaid="1" host_hash="0x9e37"> … <pci busid="0001:00:00.0"> …`
fn nccl(document: &Document) -> PciNodes {
    let mut places = Places::default();
    for device in document
        .descendants()
        .filter(|node| node.has_tag_name("pci"))
    {
        let mut above = device.ancestors().filter(|node| node.has_tag_name("cpu"));
        let (Some(address), Some(cpu)) = (parsed(&device, "busid"), above.next()) else {
            continue;
        };
        let host = cpu.attribute("host_hash").map(FileHost::Hash);
        places.hosts.extend(host);
        // -1: unknown to NCCL.
        let node: Option<u32> = parsed(&cpu, "numaid");
        places.add(address, host, node.map(NodeId).into_iter().collect());
    }
    places.merged()
}

/// `<object type="Package" nodeset="0x1"> … <object type="PCIDev" pci_busid="0000:02:00.0">`
fn hwloc(document: &Document) -> PciNodes {
    let is = |node: &Node, kind: &str| node.attribute("type") == Some(kind);
    let mut places = Places::default();
    for device in document.descendants().filter(|node| is(node, "PCIDev")) {
        let Some(address) = parsed(&device, "pci_busid") else {
            continue;
        };
        let mut above = device.ancestors().skip(1);
        // The nearest object above the buses.
        let near = above.find(|node| !is(node, "Bridge") && !is(node, "PCIDev"));
        let mut machines = device.ancestors().filter(|node| is(node, "Machine"));
        let host = machines.next().map(|of| FileHost::Machine(of.id().get()));
        places.hosts.extend(host);
        places.add(
            address,
            host,
            near.and_then(|near| nodes(&near)).unwrap_or_default(),
        );
    }
    places.merged()
}

fn parsed<T: std::str::FromStr>(node: &Node, attribute: &str) -> Option<T> {
    node.attribute(attribute)?.parse().ok()
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
            .map(|(address, place)| {
                let PciPlace::Near(nodes) = place else {
                    panic!("{address} is contradictory");
                };
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
        let of = |address: &&str| match &places[&address.parse::<PciAddress>().unwrap()] {
            PciPlace::Near(nodes) => nodes.clone(),
            PciPlace::Contradictory(_) => panic!("{address} is contradictory"),
        };
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

    /// What a file says of the device 0001:00:00.0.
    fn place(text: &str) -> Option<PciPlace> {
        let mut places = parse_topology_file(text).ok()?;
        places.remove(&"0001:00:00.0".parse().unwrap())
    }

    /// NCCL's file with a `<cpu>` for each of these attributes and addresses.
    fn nccl_file(cpus: &[(&str, &str)]) -> String {
        let cpus = cpus.iter();
        let cpus =
            cpus.map(|(cpu, busid)| format!("<cpu {cpu}><pci busid=\"{busid}:00:00.0\"/></cpu>"));
        format!("<system>{}</system>", cpus.collect::<String>())
    }

    fn set(nodes: &[u32]) -> NodeSet {
        nodes.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn a_device_with_two_places_has_none() {
        const HERE: &str = r#"numaid="0" host_hash="0xa""#;
        const THERE: &str = r#"numaid="0" host_hash="0xb""#;
        let near = |nodes: &[u32]| Some(PciPlace::Near(set(nodes)));
        let contradictory = |nodes: &[u32]| Some(PciPlace::Contradictory(set(nodes)));
        let of = |cpus: &[(&str, &str)]| place(&nccl_file(cpus));
        // Twice the same, in one host and in two.
        assert_eq!(
            of(&[("numaid=\"0\"", "0001"), ("numaid=\"0\"", "0001")]),
            near(&[0])
        );
        assert_eq!(of(&[(HERE, "0001"), (THERE, "0001")]), near(&[0]));
        // Two nodes; a node and none; only one of two hosts has it.
        assert_eq!(
            of(&[("numaid=\"1\"", "0001"), ("numaid=\"0\"", "0001")]),
            contradictory(&[0, 1])
        );
        assert_eq!(
            of(&[("numaid=\"1\"", "0001"), ("numaid=\"-1\"", "0001")]),
            contradictory(&[1])
        );
        assert_eq!(of(&[(HERE, "0001"), (THERE, "0002")]), contradictory(&[0]));
        assert_eq!(of(&[(HERE, "0001"), (HERE, "0002")]), near(&[0]));
    }

    #[test]
    fn a_device_twice_in_hwlocs_file_has_no_place() {
        let object = |nodeset: &str| {
            format!(
                "<object type=\"Package\" nodeset=\"{nodeset}\"><object type=\"Bridge\">\
                 <object type=\"PCIDev\" pci_busid=\"0001:00:00.0\"/></object></object>"
            )
        };
        let machine = |inner: &str| format!("<object type=\"Machine\">{inner}</object>");
        let of = |inner: &str| place(&format!("<topology>{inner}</topology>"));
        let (zero, one) = (object("0x1"), object("0x2"));
        assert_eq!(
            of(&machine(&(zero.clone() + &zero))),
            Some(PciPlace::Near(set(&[0])))
        );
        let contradictory = |nodes: &[u32]| Some(PciPlace::Contradictory(set(nodes)));
        assert_eq!(of(&machine(&(zero.clone() + &one))), contradictory(&[0, 1]));
        let two_machines = machine(&zero)
            + &machine(
                "<object type=\"Bridge\"><object type=\"PCIDev\" pci_busid=\"0002:00:00.0\"/></object>",
            );
        assert_eq!(of(&two_machines), contradictory(&[0]));
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
