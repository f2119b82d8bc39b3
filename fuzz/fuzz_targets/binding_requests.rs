//! The bindings that a command line and an environment ask for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::binding_requests(bytes));
