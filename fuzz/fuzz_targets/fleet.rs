//! Many documents in one stream, behind a list of hosts.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::fleet(bytes));
