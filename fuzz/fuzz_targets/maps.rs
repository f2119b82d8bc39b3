//! `/proc/PID/maps`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::memory::maps::parse_mapping;

fuzz_target!(|bytes: &[u8]| {
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(mapping) = parse_mapping(line) {
            let _ = (mapping.size(), mapping.backing(), mapping.torch_maker());
        }
    }
});
