//! Text of a process on a terminal.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| numa_audit::fuzzing::terminal(text));
