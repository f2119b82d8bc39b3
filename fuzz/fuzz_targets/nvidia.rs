//! The files of NVIDIA's driver, and a recording's `nvml.json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::nvidia(bytes));
