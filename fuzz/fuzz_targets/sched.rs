//! `/proc/PID/task/TID/sched`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::watch::sched::parse_pages_migrated;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_pages_migrated(bytes);
});
