//! A control group's `memory.numa_stat`, of both versions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::units::Bytes;
use numa_audit::observe::memory::numa_stat::parse_numa_stat;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_numa_stat(bytes, None);
    let _ = parse_numa_stat(bytes, Some(Bytes(4096)));
});
