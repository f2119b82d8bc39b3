//! What `/proc/PID/fd/N` links to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::process::fd::{is_gpu_file, parse_driver_file, parse_drm_file, parse_pipe};

fuzz_target!(|target: &str| {
    let is_one = parse_driver_file(target).is_some() || parse_drm_file(target).is_some();
    assert!(!is_one || is_gpu_file(target));
    assert!(!is_gpu_file(target) || target.starts_with("/dev/"));
    let _ = parse_pipe(target);
});
