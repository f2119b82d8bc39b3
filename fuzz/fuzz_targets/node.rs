//! The files of a NUMA node, and of a PCI device.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::units::NodeId;
use numa_audit::observe::nodes::{parse_distances, parse_hex, parse_node_meminfo, parse_pci_node};

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_node_meminfo(bytes);
    let _ = parse_pci_node(bytes);
    let _ = parse_hex(bytes);
    for online in [0, 1, 2, 8] {
        let online = (0..online).map(NodeId).collect();
        if let Ok(distances) = parse_distances(bytes, &online) {
            assert_eq!(distances.len(), online.len());
        }
    }
});
