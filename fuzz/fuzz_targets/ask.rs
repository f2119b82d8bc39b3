//! Bindings that argv requests.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::jobs::binding_requests::{kept_by_redaction, parse_binding_requests};
use numa_audit::observe::process::words::parse_command;

fuzz_target!(|bytes: &[u8]| {
    let command = parse_command(bytes);
    let _ = parse_binding_requests(&command);
    let kept = command.iter().filter_map(|word| kept_by_redaction(word));
    let kept: Vec<String> = kept.map(str::to_owned).collect();
    // Redaction changes nothing in a redacted recording.
    assert!(kept.iter().all(|word| kept_by_redaction(word) == Some(word)));
});
