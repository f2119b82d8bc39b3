//! Two JSON documents, with a zero byte between them, that `diff` and `--expect` take.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::report(bytes));
