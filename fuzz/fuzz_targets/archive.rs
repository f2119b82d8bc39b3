//! A recording's archive: the bytes of its tar, in gzip that only stores them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::archive(bytes));
