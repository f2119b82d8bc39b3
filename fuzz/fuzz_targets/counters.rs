//! `/proc/vmstat` and a node's `numastat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::counters(bytes));
