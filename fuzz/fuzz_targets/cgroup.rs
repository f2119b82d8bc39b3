//! `/proc/PID/cgroup`, and what the groups' names show of a container, a pod and a job.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| numa_audit::fuzzing::cgroup(bytes));
