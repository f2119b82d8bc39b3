//! What argv and the environment ask for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::jobs::binding_requests::{parse_binding_variables, parse_binding_requests, telling_part};
use numa_audit::observe::process::cmdline::parse_command;

fuzz_target!(|bytes: &[u8]| {
    let command = parse_command(bytes);
    let _ = parse_binding_requests(&command);
    let kept = command.iter().filter_map(|word| telling_part(word));
    let kept: Vec<String> = kept.map(str::to_owned).collect();
    // A redacted recording says the same when it is redacted again.
    assert!(kept.iter().all(|word| telling_part(word) == Some(word)));
    let _ = parse_binding_variables(bytes);
});
