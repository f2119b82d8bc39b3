//! A recording's `snapshot.json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::snapshot(bytes));
