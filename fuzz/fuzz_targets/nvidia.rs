//! The files of NVIDIA's driver, and a recording's `nvml.json`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::gpu::nvidia::{parse_information, parse_numa_status};
use numa_audit::observe::gpu::nvml::recorded::parse_nvml;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_information(bytes);
    let _ = parse_numa_status(bytes);
    if let Ok(answer) = parse_nvml(bytes) {
        let written = serde_json::to_vec(&answer).expect("what was read can be written");
        assert_eq!(parse_nvml(&written).as_ref(), Ok(&answer));
    }
});
