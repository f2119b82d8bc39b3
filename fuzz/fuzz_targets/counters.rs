//! `/proc/vmstat` and a node's `numastat`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::observe::watch::counters::{NUMASTAT, VMSTAT, counted_between, parse_counters};

fuzz_target!(|bytes: &[u8]| {
    for names in [NUMASTAT, VMSTAT] {
        let (before, after) = bytes.split_at(bytes.len() / 2);
        if let (Ok(before), Ok(after)) =
            (parse_counters(before, names), parse_counters(after, names))
        {
            let between = counted_between(&before, &after);
            assert!(between.iter().all(|(name, count)| count <= &after[name]));
        }
    }
});
