//! `/proc/uptime`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::parse::uptime::parse_uptime;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_uptime(bytes);
});
