//! `/proc/PID/numa_maps`, and its lines as `record --redact` leaves them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::numa_maps(bytes));
