//! The target of `/proc/PID/fd/N`.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| numa_audit::fuzzing::fd(text));
