//! `/proc/PID/maps`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::maps(bytes));
