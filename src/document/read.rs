//! Reads a document.
//!
//! Fields that this version of the program does not know are ignored, and those that an older version did not write may be
//! missing.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::document::{
    Document, Expected, PLAN_SCHEMA_VERSION, PlanDocument, PlannedRank, SCHEMA_VERSION,
};
use crate::units::{Malformed, QUOTED};

/// Reads the JSON document of an audit or of a map.
///
/// # Errors
/// When it is not such a document, with the reason.
pub(crate) fn read(bytes: &[u8]) -> Result<Document, Malformed> {
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

/// Reads what a machine must equal: the document of an audit or of a map, or a plan.
///
/// # Errors
/// When it is neither, with the reason.
pub(crate) fn read_expected(bytes: &[u8]) -> Result<Expected, Malformed> {
    let is_plan = |probe: Probe| probe.ranks.is_some() && probe.topology.is_none();
    if !json(bytes).is_ok_and(is_plan) {
        return Ok(Expected::Audit(Box::new(read(bytes)?)));
    }
    let plan: PlanDocument = json(bytes)?;
    if plan.schema_version != PLAN_SCHEMA_VERSION {
        let version = plan.schema_version;
        return refuse(&format!(
            "it is a plan with schema_version {version}, and this program reads {PLAN_SCHEMA_VERSION}"
        ));
    }
    if plan.ranks.is_empty() {
        return refuse("it is a plan without ranks");
    }
    let (mut ranks, mut gpus) = (BTreeSet::new(), BTreeSet::new());
    for PlannedRank { rank, gpu, .. } in &plan.ranks {
        if !ranks.insert(*rank) {
            return refuse(&format!("it is a plan with rank {rank} twice"));
        }
        if !gpus.insert(*gpu) {
            return refuse(&format!("it is a plan with GPU {gpu} for two ranks"));
        }
    }
    Ok(Expected::Plan(plan))
}

fn refuse<T>(why: &str) -> Result<T, Malformed> {
    Err(Malformed(why.to_owned()))
}

/// What decides whether this is a document at all.
#[derive(Deserialize)]
struct Probe {
    schema_version: Option<u64>,
    topology: Option<IgnoredAny>,
    /// Only a plan has ranks.
    ranks: Option<IgnoredAny>,
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
    use crate::document::LocalShare;
    use crate::units::{CpuSet, Pid};

    #[track_caller]
    fn refuses(text: &str, why: &str) {
        assert_eq!(
            read(text.as_bytes()).map_err(|error| error.0),
            Err(why.to_owned())
        );
    }

    #[test]
    fn additions_of_a_later_version_are_ignored() {
        let document = read(
            br#"{"schema_version": 1, "window": {"seconds": 10}, "topology": {"nodes": [{"id": 0, "cpus": "", "hbm": 1}], "cxl": []},
                 "processes": [{"pid": 7, "role": "prefetcher",
                                "memory": {"exact": false, "error": 0.02, "local_fraction": 0.5, "sample_pages": 9}}],
                 "findings": [{"rule": "not-thought-of-yet", "severity": "disaster"}]}"#,
        );
        let document = document.unwrap();
        let cpus = &document.topology.nodes[0].cpus;
        assert_eq!(*cpus, Some(CpuSet::default()), "no CPUs are known CPUs");
        let process = &document.processes()[0];
        assert_eq!((process.pid, process.known_role()), (Pid(7), None));
        assert_eq!(
            process.memory.local(),
            LocalShare {
                local_fraction: Some(0.5),
                exact: false,
                error: Some(0.02)
            }
        );
        assert_eq!(document.findings[0].severity.as_str(), "disaster");
    }

    #[test]
    fn a_fraction_beyond_1_is_unknown() {
        let text = r#"{"schema_version": 1, "topology": {}, "processes": [{"pid": 7, "memory": {"local_fraction": 1e9}}],
                       "summary": {"local_fraction": -0.1, "error": 2}}"#;
        let document = read(text.as_bytes()).unwrap();
        assert_eq!(document.processes()[0].memory.local_fraction, None);
        let summary = document.summary.unwrap();
        assert_eq!((summary.local_fraction, summary.error), (None, None));
    }

    #[test]
    fn other_documents_are_refused() {
        refuses(
            "{}",
            "it has no schema_version, so it is not a document of numa-audit",
        );
        refuses(
            r#"{"schema_version": 2}"#,
            "it has schema_version 2, and this program reads 1",
        );
        refuses(
            r#"{"schema_version": 1, "before": {}}"#,
            "it has no topology, so it is neither an audit nor a map of numa-audit",
        );
        refuses(
            r#"{"schema_version": 1, "topology": {"nodes": [{"id": 0, "cpus": "3-1"}]}}"#,
            "not a list of numbers: \"3-1\" at line 1 column 69",
        );
        for text in ["", "[1]", "null", "x"] {
            refuses(text, "not a JSON object, so not a document of numa-audit");
        }
    }

    #[test]
    fn long_text_is_not_repeated() {
        let name = "x".repeat(1 << 20);
        let text = format!(r#"{{"schema_version": "{name}"}}"#);
        let error = read(text.as_bytes()).unwrap_err();
        assert!(error.0.len() < 300, "{}", error.0.len());
    }

    #[test]
    fn deep_nesting_is_refused_or_skipped() {
        let deep = "[".repeat(1 << 20);
        assert!(read(deep.as_bytes()).is_err());
        let evidence = format!(
            r#"{{"schema_version": 1, "topology": {{}}, "findings": [{{"rule": "x", "evidence": {{"a": {deep}"#
        );
        assert!(read(evidence.as_bytes()).is_err());
        let deep = format!(r#"{{"schema_version": 1, "unknown": {deep}"#);
        assert!(read(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn no_values_cause_a_panic(value in r#"(null|-?[0-9]{1,20}(\.[0-9]e99)?|"[0-9,:-]{0,9}"|\[[0-9]{0,11}\]|\{\})"#, at in 0usize..8) {
            let field = ["host", "topology", "settings", "processes", "findings", "summary", "nodes", "gpus"][at];
            let text = match at {
                6 | 7 => format!(r#"{{"schema_version": 1, "topology": {{"{field}": [{{"id": {value}, "index": {value}, "cpus": {value}}}]}}}}"#),
                1 => format!(r#"{{"schema_version": 1, "topology": {value}}}"#),
                _ => format!(r#"{{"schema_version": 1, "topology": {{}}, "{field}": {value}}}"#),
            };
            let _ = read(text.as_bytes());
        }
    }
}
