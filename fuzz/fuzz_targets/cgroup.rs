//! `/proc/PID/cgroup`, and what the groups' names tell of a container, a pod and a job.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::jobs::scheduler::{container, pod, slurm_job};
use numa_audit::observe::process::cgroup::parse_cgroup;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(groups) = parse_cgroup(bytes) {
        let _ = (container(&groups), pod(&groups), slurm_job(&groups));
    }
});
