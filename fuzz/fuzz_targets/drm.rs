//! `/proc/PID/fdinfo/N` of a DRM file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::gpu::fdinfo::parse_fdinfo;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_fdinfo(bytes);
});
