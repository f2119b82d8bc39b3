//! Metrics of small documents.

use std::time::Duration;

use serde_json::{Value, json};

use super::{MetricsContext, metrics};
use crate::document::Document;
use crate::document::rule::RuleText;
use crate::words::Severity;

/// Of the GPU, node 0 is local, node 1 near and node 2 remote.
fn gpu() -> Value {
    json!({"index": 0, "uuid": "GPU-1", "name": "A \"B\"", "pci_bus_id": "0000:10:1c.0", "home_nodes": [0],
        "home_source": "sysfs", "local_nodes": [0], "local_memory_nodes": [0], "near_nodes": [1], "own_memory_nodes": [],
        "in_scope": true, "processes_known": true})
}

fn process(pid: u32, role: &str, verdict: &str) -> Value {
    json!({"pid": pid, "name": "secret-name", "command": "secret-command", "user": "secret-user", "role": role, "gpus": [0],
        "gpu_source": "nvml", "verdict": verdict,
        "cpu": {"threads": {"total": 9, "by_node": {"0": 9}, "astray": 2},
            "window": {"cpu_seconds_by_node": {"0": 3.0, "1": 1.0, "2": 0.5}}},
        "memory": {"by_node_bytes": {"0": 10, "1": 20, "2": 30}, "by_kind": {"pinned": {"2": 5}, "file": {"1": 7}}}})
}

fn document(gpu: Value, processes: Vec<Value>) -> Document {
    let document = json!({
        "schema_version": 1, "tool": {"name": "numa-audit", "version": "9"},
        "host": {"hostname": "secret-host", "recorded_at": "1970-01-02T00:00:00Z", "source": "live"},
        "topology": {"nodes": [], "gpus": [gpu]},
        "processes": processes,
        "findings": [{"rule": "r", "severity": "warning"}, {"rule": "r", "severity": "error"}],
        "incomplete": [{"pid": 1, "what": "memory", "kind": "memory", "reason": "absent"}],
        "summary": {"verdict": "mismatch", "complete": false},
    });
    serde_json::from_value(document).unwrap()
}

fn text_of(document: &Document, by_job: bool) -> String {
    let rule = |name| RuleText {
        name,
        severity: Severity::Error.into(),
        explanation: Vec::new(),
    };
    let context = MetricsContext {
        rules: &[rule("r"), rule("s")],
        duration: Some(Duration::from_millis(1500)),
        by_job,
    };
    metrics(document, &context)
}

fn samples(text: &str, name: &str) -> Vec<String> {
    let start = format!("numa_audit_{name}");
    let lines = text.lines().filter_map(|line| line.strip_prefix(&start));
    lines.map(str::to_owned).collect()
}

/// The text has exactly these samples of a metric.
#[track_caller]
fn has(text: &str, name: &str, wanted: &[&str]) {
    assert_eq!(samples(text, name), wanted, "{text}");
}

fn two() -> Vec<Value> {
    vec![
        process(1, "trainer", "mismatch"),
        process(2, "worker", "ok"),
        process(3, "launcher", "ok"),
    ]
}

#[test]
fn everything_is_counted() {
    let text = text_of(&document(gpu(), two()), false);
    has(&text, "build_info", &["{version=\"9\"} 1"]);
    has(&text, "last_run_timestamp_seconds", &[" 86400"]);
    has(&text, "last_run_duration_seconds", &[" 1.500000"]);
    has(&text, "complete", &[" 0"]);
    has(
        &text,
        "gpu_info",
        &[
            "{gpu=\"0\",uuid=\"GPU-1\",pci_bus_id=\"0000:10:1c.0\",name=\"A \\\"B\\\"\",home_nodes=\"0\",home_source=\"sysfs\"} 1",
        ],
    );
    has(
        &text,
        "memory_bytes",
        &[
            "{gpu=\"0\",place=\"local\"} 20",
            "{gpu=\"0\",place=\"near\"} 40",
            "{gpu=\"0\",place=\"remote\"} 60",
        ],
    );
    has(
        &text,
        "pinned_bytes",
        &[
            "{gpu=\"0\",place=\"local\"} 0",
            "{gpu=\"0\",place=\"near\"} 0",
            "{gpu=\"0\",place=\"remote\"} 10",
        ],
    );
    has(&text, "threads_astray", &["{gpu=\"0\"} 4"]);
    has(
        &text,
        "findings",
        &[
            "{rule=\"r\",severity=\"error\"} 1",
            "{rule=\"r\",severity=\"warning\"} 1",
            "{rule=\"s\",severity=\"error\"} 0",
        ],
    );
    let processes = samples(&text, "processes");
    assert_eq!(processes.len(), 10, "{processes:?}");
    let some: Vec<_> = processes
        .iter()
        .filter(|line| !line.ends_with(" 0"))
        .collect();
    assert_eq!(
        some,
        [
            "{gpu=\"0\",role=\"trainer\",verdict=\"mismatch\"} 1",
            "{gpu=\"0\",role=\"worker\",verdict=\"ok\"} 1"
        ]
    );
    let gaps = samples(&text, "gaps");
    assert!(
        gaps.contains(&"{what=\"memory\"} 1".to_owned())
            && gaps.contains(&"{what=\"driver\"} 0".to_owned())
    );
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn cpu_time_is_a_share_of_one() {
    let text = text_of(&document(gpu(), vec![process(1, "trainer", "ok")]), false);
    let shares: Vec<f64> = samples(&text, "cpu_time_ratio")
        .iter()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(shares.len(), 3);
    assert!(
        (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && (shares[0] - 2.0 / 3.0).abs() < 1e-9
    );
    // Without CPU time there is no share.
    let mut idle = process(1, "trainer", "ok");
    idle["cpu"]["window"]["cpu_seconds_by_node"] = json!({});
    has(
        &text_of(&document(gpu(), vec![idle]), false),
        "cpu_time_ratio",
        &[],
    );
}

#[test]
fn an_idle_gpu_has_zeros() {
    let text = text_of(&document(gpu(), Vec::new()), false);
    assert_eq!(samples(&text, "processes").len(), 10);
    assert!(
        samples(&text, "memory_bytes")
            .iter()
            .all(|line| line.ends_with(" 0"))
    );
    has(&text, "threads_astray", &["{gpu=\"0\"} 0"]);
}

#[test]
fn an_unknown_value_has_no_series() {
    let gone = |name: &str, change: fn(&mut Value, &mut Value)| {
        let (mut gpu, mut trainer) = (gpu(), process(1, "trainer", "ok"));
        change(&mut gpu, &mut trainer);
        let text = text_of(
            &document(gpu, vec![trainer, process(2, "worker", "ok")]),
            false,
        );
        has(&text, name, &[]);
        text
    };
    gone("memory_bytes", |_, of| {
        of["memory"]["by_node_bytes"] = Value::Null
    });
    gone("pinned_bytes", |_, of| {
        of["memory"]["by_kind"] = Value::Null
    });
    gone("pinned_bytes", |_, of| of["gpu_source"] = json!("kfd"));
    gone("threads_astray", |_, of| of["cpu"]["threads"] = Value::Null);
    gone("cpu_time_ratio", |_, of| of["cpu"]["window"] = Value::Null);
    gone("memory_bytes", |gpu, _| gpu["local_nodes"] = json!([]));
    gone("memory_bytes", |gpu, _| {
        gpu["local_memory_nodes"] = json!([])
    });
    // What is known of a GPU whose processes are not all known is the least that there is: no verdict has 0.
    let text = gone("memory_bytes", |gpu, _| {
        gpu["processes_known"] = json!(false)
    });
    has(
        &text,
        "processes",
        &[
            "{gpu=\"0\",role=\"trainer\",verdict=\"ok\"} 1",
            "{gpu=\"0\",role=\"worker\",verdict=\"ok\"} 1",
        ],
    );
    gone("threads_astray", |gpu, _| {
        gpu["unseen_processes"] = json!([{"pid": 5, "reason": "gone"}]);
    });
}

#[test]
fn a_gpu_that_was_not_asked_about_has_only_its_description() {
    let mut other = gpu();
    other["in_scope"] = json!(false);
    let text = text_of(&document(other, Vec::new()), false);
    has(&text, "processes", &[]);
    assert_eq!(samples(&text, "gpu_info").len(), 1);
}

#[test]
fn a_process_without_a_known_gpu_is_counted() {
    let mut lost = process(1, "trainer", "unknown");
    lost["gpus"] = json!([]);
    let text = text_of(&document(gpu(), vec![lost]), false);
    let lost = "{gpu=\"unknown\",role=\"trainer\",verdict=\"unknown\"} 1".to_owned();
    assert!(samples(&text, "processes").contains(&lost), "{text}");
}

#[test]
fn a_gpu_has_one_job_at_most() {
    let with = |jobs: &[Value]| {
        let processes = jobs.iter().map(|job| {
            let mut process = process(1, "worker", "ok");
            process["scheduler_jobs"] = json!([{"scheduler": "x", "id": job, "source": "cgroup"}]);
            process
        });
        let text = text_of(&document(gpu(), processes.collect()), true);
        assert!(!samples(&text, "gpu_info")[0].contains("job="));
        samples(&text, "threads_astray").remove(0)
    };
    assert!(with(&[json!("42")]).contains("{gpu=\"0\",job=\"42\"}"));
    assert!(with(&[json!("42"), json!("42")]).contains("job=\"42\""));
    assert!(with(&[json!("42"), json!("43")]).contains("job=\"several\""));
    assert!(with(&[]).contains("job=\"\""));
    // A process can put anything into its environment.
    for hostile in ["a\"} 1\nx", "", &"9".repeat(65), "\u{202e}"] {
        assert!(
            with(&[json!(hostile)]).contains("{gpu=\"0\",job=\"other\"}"),
            "{hostile:?}"
        );
    }
}
