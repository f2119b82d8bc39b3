//! The JSON documents that `show`, `diff` and `--expect` take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use numa_audit::compare;
use numa_audit::document::{self, Document};
use numa_audit::print::terminal::Terminal;
use numa_audit::print::{csv, diff, diff_json, json, remedies, table, topology};

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
    let Ok(before) = document::read(before) else {
        return;
    };
    show(&before);
    if let Ok(after) = document::read(after) {
        let diff = compare::diff(&before, &after);
        is_harmless(&diff_json::diff(&diff));
        is_harmless(&diff::diff(&diff, true, &TERMINAL));
    }
});

fn show(document: &Document) {
    is_harmless(&table::report(document, true, &TERMINAL));
    is_harmless(&table::report(document, false, &TERMINAL));
    is_harmless(&topology::topology(document, &TERMINAL));
    is_harmless(&remedies::remedies(document));
    let text = json::text(document);
    is_harmless(&text);
    let read = document::read(text.as_bytes()).expect("what is written can be read");
    assert_eq!(json::text(&read), text);
    let mut rows = Vec::new();
    csv::processes(document, &mut rows).expect("a vector takes all");
    is_harmless(&String::from_utf8(rows).expect("text"));
}

fn is_harmless(text: &str) {
    let acts = |letter: char| letter != '\n' && letter.is_control();
    assert!(!text.contains(acts), "{text:?}");
}
