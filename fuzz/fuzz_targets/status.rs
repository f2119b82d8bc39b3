//! `/proc/PID/status`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::process::status::parse_status;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_status(bytes);
});
