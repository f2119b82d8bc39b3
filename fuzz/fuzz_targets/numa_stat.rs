//! A control group's `memory.numa_stat`, of both versions.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::numa_stat(bytes));
