//! `/proc/PID/task/TID/sched`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::sched(bytes));
