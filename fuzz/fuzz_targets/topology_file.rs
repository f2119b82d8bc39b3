//! Topology files, NCCL's and hwloc's.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| numa_audit::fuzzing::topology_file(text));
