//! A recording's `snapshot.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::root::manifest::parse_manifest;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = parse_manifest(bytes) {
        let written = serde_json::to_vec(&manifest).expect("what was read can be written");
        assert_eq!(parse_manifest(&written), Ok(manifest));
    }
});
