//! The files of AMD's KFD.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::kfd(bytes));
