//! Topology files, NCCL's and hwloc's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::topology_file::parse_topology_file;

fuzz_target!(|text: &str| {
    if let Ok(places) = parse_topology_file(text) {
        assert!(!places.is_empty());
    }
});
