//! A small recorded machine, changed as the input says: its first byte chooses audit or topology, the rest are
//! changes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::tree(bytes));
