//! `/proc/PID/numa_maps`, and its lines as `record --redact` leaves them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::machine::memory::Memory;
use numa_audit::observe::memory::numa_maps::{NumaMaps, redact_line};

/// The memory, up to the first line that is malformed.
fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Memory> {
    let mut maps = NumaMaps::default();
    for line in lines {
        if maps.line(line).is_err() {
            break;
        }
    }
    maps.finish()
}

/// Whether a line is of the kernel's form so far as names go: one at most, behind the policy.
fn has_a_name_at_most(line: &[u8]) -> bool {
    let names = line.windows(5).filter(|word| *word == b"file=").count();
    let behind_policy = line.splitn(3, |byte| *byte == b' ').nth(1);
    names <= 1 && behind_policy.is_none_or(|policy| !policy.starts_with(b"file="))
}

fuzz_target!(|bytes: &[u8]| {
    let lines = || bytes.split(|byte| *byte == b'\n');
    let memory = read(lines());
    let redacted: Vec<Vec<u8>> = lines().map(redact_line).collect();
    if lines().all(has_a_name_at_most) {
        assert_eq!(read(redacted.iter().map(Vec::as_slice)), memory);
    }
});
