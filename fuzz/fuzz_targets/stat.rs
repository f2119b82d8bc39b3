//! `/proc/PID/stat`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::stat(bytes));
