//! `/proc/PID/stat`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::process::stat::parse_stat;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(stat) = parse_stat(bytes) {
        let _ = (stat.is_dead(), stat.is_of_kernel());
    }
});
