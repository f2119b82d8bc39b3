//! The files of a NUMA node and of a PCI device.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::node(bytes));
