//! What --expect takes, and after a NUL byte a document that is compared with it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::expected(bytes));
