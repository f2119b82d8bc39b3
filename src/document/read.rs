//! Reads a document.
//!
//! Fields that this version of the program does not know are ignored, and those that an older version did not write may be
//! missing.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::document::{Document, SCHEMA_VERSION};
use crate::units::{Malformed, QUOTED};

/// Reads the JSON document of an audit or of a map.
///
/// # Errors
/// When it is not such a document, with the reason.
pub fn read(bytes: &[u8]) -> Result<Document, Malformed> {
    // serde would accept a list for a struct, field by field.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first != Some(&b'{') {
        return refuse("not a JSON object, so not a document of numa-audit");
    }
    let probe: Probe = json(bytes)?;
    match probe.schema_version {
        Some(SCHEMA_VERSION) => {}
        Some(other) => {
            return refuse(&format!(
                "it has schema_version {other}, and this program reads {SCHEMA_VERSION}"
            ));
        }
        None => return refuse("it has no schema_version, so it is not a document of numa-audit"),
    }
    if probe.topology.is_none() {
        return refuse("it has no topology, so it is neither an audit nor a map of numa-audit");
    }
    json(bytes)
}

fn refuse<T>(why: &str) -> Result<T, Malformed> {
    Err(Malformed(why.to_owned()))
}

/// What decides whether this is a document at all.
#[derive(Deserialize)]
struct Probe {
    schema_version: Option<u64>,
    topology: Option<IgnoredAny>,
}

/// Deep nesting cannot exhaust the stack: unknown fields are skipped without recursion, known fields are only so deep, and
/// serde_json limits the depth of the values in `evidence`.
fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    serde_json::from_slice(bytes).map_err(|error| {
        // serde repeats an unexpected text in its message, however long the text is.
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = text.strip_suffix(&place).unwrap_or(&text);
        match what.char_indices().nth(2 * QUOTED) {
            Some((end, _)) => Malformed(format!("{}…{place}", &what[..end])),
            None => Malformed(text),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refuses(text: &str, why: &str) {
        assert_eq!(
            parse_report(text.as_bytes()).map_err(|error| error.0),
            Err(why.to_owned())
        );
    }

    #[test]
    fn what_a_later_version_adds_is_ignored() {
        let outline = parse_report(
            br#"{"schema_version": 1, "window": {"seconds": 10}, "topology": {"nodes": [{"id": 0, "cpus": "", "hbm": 1}], "cxl": []},
                 "processes": [{"pid": 7, "memory": {"exact": false, "error": 0.02, "local_fraction": 0.5, "sample_pages": 9}}],
                 "findings": [{"rule": "not-thought-of-yet", "severity": "disaster"}]}"#,
        );
        let outline = outline.unwrap();
        assert_eq!(
            outline.nodes[&NodeId(0)].cpus,
            Some(CpuSet::default()),
            "a node without CPUs is no unknown one"
        );
        let process = &outline.processes.unwrap()[0];
        assert_eq!(process.pid, Pid(7));
        assert_eq!(
            process.memory.local,
            LocalShare {
                fraction: Some(0.5),
                is_estimate: true,
                error: Some(0.02)
            }
        );
        assert_eq!(outline.findings[0].severity, "disaster");
    }

    #[test]
    fn other_documents_are_refused() {
        refuses(
            "{}",
            "it has no schema_version: no document of this program's",
        );
        refuses(
            r#"{"schema_version": 2}"#,
            "schema_version 2, and this program reads 1",
        );
        refuses(
            r#"{"schema_version": 1, "before": {}}"#,
            "it has no topology: no audit's document, nor topology --json's",
        );
        refuses(
            r#"{"schema_version": 1, "topology": {"nodes": [{"id": 0, "cpus": "3-1"}]}}"#,
            "no list of numbers: \"3-1\"",
        );
        for text in ["", "[1]", "null", "x"] {
            refuses(text, "it is no JSON object: no document of this program's");
        }
    }

    #[test]
    fn nothing_long_is_repeated() {
        let name = "x".repeat(1 << 20);
        let text = format!(r#"{{"schema_version": "{name}"}}"#);
        let error = parse_report(text.as_bytes()).unwrap_err();
        assert!(error.0.len() < 300, "{}", error.0.len());
    }

    #[test]
    fn deep_nesting_is_no_trouble() {
        let deep = "[".repeat(1 << 20);
        assert!(parse_report(deep.as_bytes()).is_err());
        let deep = format!(r#"{{"schema_version": 1, "unknown": {deep}"#);
        assert!(parse_report(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_report(&bytes);
        }

        #[test]
        fn no_values_make_it_panic(value in r#"(null|-?[0-9]{1,20}(\.[0-9]e99)?|"[0-9,:-]{0,9}"|\[[0-9]{0,11}\]|\{\})"#, at in 0usize..8) {
            let field = ["host", "topology", "settings", "processes", "findings", "summary", "nodes", "gpus"][at];
            let text = match at {
                6 | 7 => format!(r#"{{"schema_version": 1, "topology": {{"{field}": [{{"id": {value}, "index": {value}, "cpus": {value}}}]}}}}"#),
                1 => format!(r#"{{"schema_version": 1, "topology": {value}}}"#),
                _ => format!(r#"{{"schema_version": 1, "topology": {{}}, "{field}": {value}}}"#),
            };
            let _ = parse_report(text.as_bytes());
        }
    }
}
