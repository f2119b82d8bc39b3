//! What promtool, Prometheus and node_exporter make of the metrics, the alert rules and the dashboard.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::started::{Started, are_here, free_address, get, listening, numa_audit, of_checkout};
use crate::support::wait_for;

const RULES: &str = "contrib/prometheus/numa-audit.rules.yml";

/// A machine with a trainer and four workers that are all on the wrong node.
const MISPLACED: &str = "fixtures/p4d-do-not-match.tar.gz";

fn text(arguments: &[&str]) -> String {
    let output = numa_audit()
        .arg("metrics")
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn accepted(output: &Output) {
    let (out, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{errors}");
}

/// promtool's judgement of a text: it refuses what is malformed and what is against the conventions.
#[track_caller]
fn is_clean(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, text).unwrap();
    let mut promtool = Command::new("promtool");
    promtool
        .args(["check", "metrics"])
        .stdin(File::open(file).unwrap());
    let output = promtool.output().unwrap();
    accepted(&output);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{text}");
}

#[test]
fn promtool_accepts_the_metrics_of_every_machine() {
    if !are_here(&["promtool"]) {
        return;
    }
    let fixtures = std::fs::read_dir(of_checkout("fixtures"))
        .unwrap()
        .flatten();
    let fixtures = fixtures.map(|entry| entry.path());
    let mut count = 0;
    for path in fixtures.filter(|path| path.extension().is_some_and(|of| of == "gz")) {
        let path = path.to_str().unwrap();
        is_clean(&text(&["--snapshot", path]));
        is_clean(&text(&["--snapshot", path, "--by", "job"]));
        count += 1;
    }
    assert!(count > 3);
    is_clean(&text(&[]));
    is_clean(&text(&["--for", "100ms"]));
}

#[test]
fn the_alert_rules_do_what_their_tests_say() {
    if !are_here(&["promtool"]) {
        return;
    }
    let promtool = |arguments: &[&str], path: &str| {
        let mut promtool = Command::new("promtool");
        accepted(
            &promtool
                .args(arguments)
                .arg(of_checkout(path))
                .output()
                .unwrap(),
        );
    };
    promtool(&["check", "rules", "--lint-fatal"], RULES);
    promtool(
        &["test", "rules"],
        "contrib/prometheus/numa-audit.rules.test.yml",
    );
}

/// A running Prometheus.
struct Prometheus {
    address: String,
    _started: Started,
}

impl Prometheus {
    /// Scrapes these addresses, and evaluates the alert rules.
    fn new(folder: &Path, targets: &[&str]) -> Self {
        let address = free_address();
        let targets = targets.iter().map(|target| format!("'{target}'"));
        let targets = targets.collect::<Vec<_>>().join(", ");
        let rules = of_checkout(RULES);
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
             scrape_configs: [{{job_name: numa, static_configs: [{{targets: [{targets}]}}]}}]\n",
            rules.display()
        );
        let file = folder.join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ));
        command.arg(format!("--web.listen-address={address}"));
        command.arg("--log.level=error").stdout(Stdio::null());
        Self {
            _started: Started::new(&mut command),
            address,
        }
    }

    /// The samples that a query gives: labels and value.
    fn query(&self, query: &str) -> Vec<(BTreeMap<String, String>, f64)> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric();
        let letter = |byte: u8| match is_plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        };
        let query: String = query.bytes().map(letter).collect();
        let Some(body) = get(&self.address, &format!("/api/v1/query?query={query}")) else {
            return Vec::new();
        };
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let samples = answer["data"]["result"].as_array().unwrap().iter();
        let sample = |sample: &Value| {
            let labels = serde_json::from_value(sample["metric"].clone()).unwrap();
            let value = sample["value"][1].as_str().unwrap();
            (labels, value.parse().unwrap())
        };
        samples.map(sample).collect()
    }

    /// Waits for a query to give this value at each of these addresses.
    #[track_caller]
    fn waits_for(&self, query: &str, value: f64, addresses: &[&str]) {
        for address in addresses {
            let query = query.replace("INSTANCE", &format!("instance=\"{address}\""));
            wait_for(&query, || {
                let found = self.query(&query);
                (found.len() == 1 && found[0].1 == value).then_some(())
            });
        }
    }
}

/// The queries of the dashboard's panels, with each machine chosen.
fn queries_of_dashboard() -> Vec<String> {
    let file = of_checkout("contrib/prometheus/numa-audit.dashboard.json");
    let dashboard: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    queries
        .map(|query| query.replace("$instance", ".*"))
        .collect()
}

#[test]
fn prometheus_reads_the_file_and_the_server_alike() {
    if !are_here(&["prometheus", "prometheus-node-exporter"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let metrics = folder.path().join("textfile");
    std::fs::create_dir(&metrics).unwrap();
    let file = metrics.join("numa_audit.prom");
    let snapshot = of_checkout(MISPLACED);
    let (_audits, listens) = listening(&[
        "--every",
        "1s",
        "--output",
        file.to_str().unwrap(),
        "--snapshot",
        snapshot.to_str().unwrap(),
    ]);
    let served = wait_for("the first audit", || get(&listens, "/metrics"));
    let written = wait_for("the file", || std::fs::read(&file).ok());
    assert_eq!(
        String::from_utf8_lossy(&served),
        String::from_utf8_lossy(&written)
    );
    assert_eq!(
        served,
        text(&["--snapshot", snapshot.to_str().unwrap()]).into_bytes()
    );

    let exports = free_address();
    let mut exporter = Command::new("prometheus-node-exporter");
    exporter.args(["--collector.disable-defaults", "--collector.textfile"]);
    exporter.arg(format!(
        "--collector.textfile.directory={}",
        metrics.display()
    ));
    exporter
        .arg(format!("--web.listen-address={exports}"))
        .stderr(Stdio::null());
    let _exporter = Started::new(&mut exporter);
    let prometheus = Prometheus::new(folder.path(), &[&exports, &listens]);
    let both = [exports.as_str(), listens.as_str()];
    let mismatched = "sum(numa_audit_processes{verdict=\"mismatch\", INSTANCE})";
    prometheus.waits_for(mismatched, 5.0, &both);
    prometheus.waits_for("node_textfile_scrape_error{INSTANCE}", 0.0, &both[..1]);

    // Every series arrives.
    let lines = String::from_utf8(served).unwrap();
    let series = lines.lines().filter(|line| !line.starts_with('#')).count();
    let all = "count({__name__=~\"numa_audit_.+\", INSTANCE})";
    prometheus.waits_for(all, series as f64, &both);
    let gpu = &prometheus.query("numa_audit_gpu_info")[0].0;
    assert_eq!(gpu["home_nodes"], "0");
    assert_eq!(gpu["name"], "NVIDIA A100-SXM4-40GB");

    // The recording is old.
    let stale = "count(ALERTS{alertname=\"NumaAuditStale\", INSTANCE})";
    prometheus.waits_for(stale, 1.0, &both);
    let queries = queries_of_dashboard();
    assert!(queries.len() > 10);
    for query in queries {
        assert!(!prometheus.query(&query).is_empty(), "{query}");
    }
}
