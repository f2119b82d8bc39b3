//! The JSON documents that `diff` and `--expect` take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::compare::diff;
use numa_audit::document::read::parse_report;
use numa_audit::print::terminal::Terminal;
use numa_audit::print::{self as report, diff_json};

const TERMINAL: Terminal = Terminal {
    width: 80,
    color: false,
};

fuzz_target!(|bytes: &[u8]| {
    let middle = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let (before, after) = bytes.split_at(middle);
    let after = after.get(1..).unwrap_or(before);
    if let (Ok(before), Ok(after)) = (parse_report(before), parse_report(after)) {
        let diff = diff(&before, &after);
        let _ = diff_json::diff(&diff);
        let table = report::diff::diff(&diff, true, &TERMINAL);
        assert!(!table.contains('\u{1b}'), "{table:?}");
    }
});
