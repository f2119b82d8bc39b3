//! The files of a NUMA node, and of a PCI device.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::units::NodeId;
use numa_audit::observe::nodes::{parse_distances, parse_node_meminfo};
use numa_audit::observe::pci::{parse_hex, parse_numa_node};

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_node_meminfo(bytes);
    let _ = parse_numa_node(bytes);
    let _ = parse_hex(bytes);
    for online in [0, 1, 2, 8] {
        let online = (0..online).map(NodeId).collect();
        if let Ok(distances) = parse_distances(bytes, &online) {
            assert_eq!(distances.len(), online.len());
        }
    }
});
