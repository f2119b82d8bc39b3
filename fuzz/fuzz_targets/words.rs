//! `/proc/PID/cmdline` and `/proc/PID/environ`, and what a command line shows of a process's task.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::words(bytes));
