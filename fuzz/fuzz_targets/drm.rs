//! `/proc/PID/fdinfo/N` of a DRM file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::drm(bytes));
