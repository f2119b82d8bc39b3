//! Lists and masks of CPUs and nodes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::list(bytes));
