//! `/proc/self/mountinfo`, for mounts of huge pages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::memory::mountinfo::parse_huge_mount;

fuzz_target!(|bytes: &[u8]| {
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = parse_huge_mount(line);
    }
});
