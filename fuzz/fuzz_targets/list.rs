//! Lists and masks of CPUs and nodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::units::{parse_cpu_list, parse_cpu_mask, parse_node_list};

fuzz_target!(|bytes: &[u8]| {
    for cpus in [parse_cpu_list(bytes), parse_cpu_mask(bytes)] {
        let Ok(cpus) = cpus else { continue };
        let printed = format!("{cpus}\n");
        assert_eq!(parse_cpu_list(printed.as_bytes()), Ok(cpus));
    }
    let _ = parse_node_list(bytes);
});
