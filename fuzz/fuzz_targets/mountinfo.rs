//! `/proc/self/mountinfo`, for mounts of huge pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::mountinfo(bytes));
