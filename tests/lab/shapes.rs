//! The shapes of machine, each with the jobs of `guest/placements`.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::guest::{Kernel, Left};
use crate::peers::{self, Compared, by_pid};

/// Boots a shape and compares the report with those of the other programs. `None` where the lab cannot run.
#[track_caller]
fn boot(shape: &str) -> Option<(Left, Value)> {
    boot_with(shape, Kernel::Release)
}

/// The same with this kernel.
#[track_caller]
pub fn boot_with(shape: &str, kernel: Kernel) -> Option<(Left, Value)> {
    let left = Left::with_kernel(shape, "placements", kernel)?;
    let report = left.json("audit.json");
    let mut compared = Compared::default();
    peers::numastat(&left, &report, &mut compared);
    peers::numactl(&left, &report, &mut compared);
    peers::affinity(&left, &report, &mut compared);
    peers::pci(&left, &report, &mut compared);
    compared.all_agree(
        shape,
        &["numastat", "numactl", "hwloc-ps", "hwloc-calc", "taskset"],
    );
    replays(&left, &report, shape);
    without_rights(&left, &report);
    without_nvmls_word(&left, &report);
    Some((left, report))
}

/// A report without what differs between two observations of one machine. The launcher is the scenario's own shell, which
/// runs between them.
fn timeless(report: &Value) -> Value {
    let mut report = report.clone();
    report["host"]["source"].take();
    report["host"]["recorded_at"].take();
    for node in report["topology"]["nodes"].as_array_mut().unwrap() {
        node["memory_free_bytes"].take();
    }
    for process in report["processes"].as_array_mut().unwrap() {
        // A recording has none.
        process["memory"]["thread_policies"].take();
        if process["role"] == "launcher" {
            process["cpu"].take();
            process["memory"].take();
        }
    }
    report
}

/// Where two documents differ, and how.
fn differences(path: &str, one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let of = |document: &serde_json::Map<String, Value>, key| document.get(key).cloned();
            let below = keys.into_iter().map(|key| {
                let (one, other) = (of(one, key), of(other, key));
                differences(
                    &format!("{path}/{key}"),
                    &one.unwrap_or_default(),
                    &other.unwrap_or_default(),
                )
            });
            below.flatten().collect()
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let pairs = one.iter().zip(other).enumerate();
            pairs
                .flat_map(|(at, (one, other))| differences(&format!("{path}/{at}"), one, other))
                .collect()
        }
        _ if one == other => Vec::new(),
        _ => vec![format!("{path}: {one} and {other}")],
    }
}

/// The differences between the live report in the guest and the replay of the recording made there. The replay is kept as
/// `replayed.json`.
pub fn replay_differs(left: &Left, report: &Value) -> String {
    let mut replay = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    replay
        .args(["--json", "--snapshot"])
        .arg(left.path("recording.tar.gz"));
    let output = replay.output().unwrap();
    let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
    std::fs::write(left.path("replayed.json"), &output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(left.code("audit.json")));
    differences("", &timeless(&replayed), &timeless(report)).join("\n")
}

/// Asserts that the recording made in the guest replays to the live report, and that the independent reader agrees.
fn replays(left: &Left, report: &Value, shape: &str) {
    let differ = replay_differs(left, report);
    assert!(differ.is_empty(), "{shape}: replayed and live:\n{differ}");
    let recording = left.path("recording.tar.gz");
    let file = left.path("replayed.json");
    let mut oracle = Command::new("python3");
    oracle.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle.py"));
    let output = oracle.arg(&recording).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{shape}: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{shape}: second reader: {}", said.trim());
}

/// An ordinary user sees the CPUs of all processes and no memory, and with hidepid no process: never a good verdict.
fn without_rights(left: &Left, report: &Value) {
    let as_user = left.json("user.json");
    let (root, user) = (by_pid(report), by_pid(&as_user));
    for (pid, process) in &root {
        let seen = user[pid];
        assert_eq!(seen["role"], process["role"], "{pid}");
        assert_eq!(seen["cpu"]["affinity"], process["cpu"]["affinity"], "{pid}");
        assert_eq!(seen["memory"]["by_node_bytes"], Value::Null, "{pid}");
    }
    let expected = if left.code("audit.json") == 1 { 1 } else { 3 };
    assert!([expected, 3].contains(&left.code("user.json")));
    assert_eq!(left.code("hidepid.json"), 3);
    assert_eq!(
        left.json("hidepid.json")["processes"],
        Value::Array(Vec::new())
    );
}

/// The open files of processes show the same trainers, each on the same GPU. In another PID namespace no process is seen:
/// never a good verdict.
fn without_nvmls_word(left: &Left, report: &Value) {
    let blind = left.json("blind.json");
    let trainers = |report: &Value, source: &str| {
        let processes = report["processes"].as_array().unwrap().iter();
        let trainers = processes
            .filter(|process| process["role"] == "trainer" && process["gpu_source"] == source);
        let told = trainers.map(|process| (process["pid"].clone(), process["gpus"].clone()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(trainers(&blind, "fd"), trainers(report, "nvml"));
    assert_eq!(left.code("namespace.json"), 3);
    assert_eq!(
        left.json("namespace.json")["processes"],
        Value::Array(Vec::new())
    );
}

/// The verdicts on a job's CPUs and memory.
#[track_caller]
pub fn verdicts(left: &Left, report: &Value, job: &str, cpu: &str, memory: &str) {
    let processes = by_pid(report);
    let process = processes[&left.job(job)];
    let verdicts = (&process["cpu"]["verdict"], &process["memory"]["verdict"]);
    assert_eq!(
        verdicts,
        (&Value::from(cpu), &Value::from(memory)),
        "{job}: {process:#}"
    );
}

#[test]
fn p4d() {
    if let Some((left, report)) = boot("p4d") {
        sees_the_placements_of_p4d(&left, &report);
    }
}

#[test]
fn p4d_with_a_newer_kernel() {
    let Some((left, report)) = boot_with("p4d", Kernel::Backports) else {
        return;
    };
    println!("p4d: Linux {}", report["host"]["kernel"]);
    sees_the_placements_of_p4d(&left, &report);
}

#[track_caller]
fn sees_the_placements_of_p4d(left: &Left, report: &Value) {
    assert_eq!(left.code("audit.json"), 1);
    verdicts(left, report, "bound", "ok", "ok");
    verdicts(left, report, "crossed", "mismatch", "ok");
    verdicts(left, report, "mbound", "ok", "mismatch");
    verdicts(left, report, "threads", "at-risk", "ok");
    verdicts(left, report, "cpuset", "mismatch", "mismatch");
    verdicts(left, report, "leader-only", "mismatch", "ok");
    let processes = by_pid(report);
    let memory = |job| &processes[&left.job(job)]["memory"];
    assert_eq!(memory("huge")["by_kind"]["huge"]["1"], 20 << 20);
    assert_eq!(memory("bound")["by_kind"]["pinned"]["0"], 20 << 20);
    assert_eq!(memory("interleaved")["policy"], "interleave");
    assert_eq!(memory("preferred")["policy"], "prefer");
    assert_eq!(
        memory("mbound")["policy"],
        "default",
        "mbind is no policy of the task"
    );
    let policy = &memory("threads")["policy"];
    assert_eq!(policy, "default", "one thread's is not the process's");
    assert_eq!(memory("cpuset")["mems_allowed"], serde_json::json!([1]));
    // A chosen binding and one given by the control group are two findings.
    let rules = |job| processes[&left.job(job)]["findings"].to_string();
    assert!(rules("cpuset").contains("cpuset-excludes-gpu"));
    assert!(!rules("crossed").contains("cpuset-excludes-gpu"));
    let findings = report["findings"].as_array().unwrap().iter();
    let remote = findings.filter(|finding| finding["rule"] == "cpu-remote" && finding["gpu"] == 0);
    let messages: Vec<&str> = remote
        .map(|finding| finding["message"].as_str().unwrap())
        .collect();
    let [chosen, given] = messages.as_slice() else {
        panic!("{messages:#?}");
    };
    assert!(
        chosen.contains("by CPU affinity; the cpuset also allows local CPUs)"),
        "{chosen}"
    );
    assert!(
        given.contains("(by the cpuset, which allows no local CPUs)"),
        "{given}"
    );
}

#[test]
fn nps4() {
    let Some((left, report)) = boot("nps4") else {
        return;
    };
    let homes = report["topology"]["gpus"].as_array().unwrap().iter();
    let homes: Vec<&Value> = homes.map(|gpu| &gpu["home_nodes"][0]).collect();
    assert_eq!(homes, [3, 3, 1, 1, 7, 7, 5, 5]);
    verdicts(&left, &report, "bound", "ok", "ok");
    verdicts(&left, &report, "crossed", "mismatch", "ok");
}

#[test]
fn cxl() {
    let Some((left, report)) = boot("cxl") else {
        return;
    };
    let cpus = report["topology"]["nodes"].as_array().unwrap().iter();
    let cpus: Vec<&Value> = cpus.map(|node| &node["cpus"]).collect();
    assert_eq!(cpus, ["0-1", "2-3", "", ""]);
    verdicts(&left, &report, "bound", "ok", "ok");
    verdicts(&left, &report, "huge", "ok", "mismatch");
}

#[test]
fn grace() {
    let Some((left, report)) = boot("grace") else {
        return;
    };
    let ids = report["topology"]["nodes"].as_array().unwrap().iter();
    let ids: Vec<&Value> = ids.map(|node| &node["id"]).collect();
    assert_eq!(ids, [0, 1, 3, 4]);
    assert_eq!(
        report["topology"]["gpus"][0]["own_memory_nodes"],
        serde_json::json!([3])
    );
    verdicts(&left, &report, "bound", "ok", "ok");
}

#[test]
fn memoryless() {
    let Some((left, report)) = boot("memoryless") else {
        return;
    };
    verdicts(&left, &report, "bound", "ok", "ok");
    verdicts(&left, &report, "crossed", "mismatch", "ok");
}

#[test]
fn cpuless() {
    let Some((left, report)) = boot("cpuless") else {
        return;
    };
    let gpu = &report["topology"]["gpus"][0];
    assert_eq!(gpu["home_nodes"], serde_json::json!([2]));
    assert_eq!(gpu["local_nodes"], serde_json::json!([1]));
    verdicts(&left, &report, "bound", "ok", "ok");
    verdicts(&left, &report, "crossed", "mismatch", "ok");
}

#[test]
fn flat() {
    let Some((left, report)) = boot("flat") else {
        return;
    };
    assert_eq!(left.code("audit.json"), 0);
    verdicts(&left, &report, "bound", "single-node", "single-node");
    assert_eq!(report["topology"]["gpus"][0]["home_source"], "single-node");
}

#[test]
fn dark() {
    if let Some((left, report)) = boot("dark") {
        sees_what_dark_sees(&left, &report);
    }
}

/// A machine of two nodes and two GPUs whose nodes the kernel does not know.
#[track_caller]
pub fn sees_what_dark_sees(left: &Left, report: &Value) {
    assert_eq!(left.code("audit.json"), 3);
    verdicts(left, report, "bound", "unknown", "unknown");
    assert_eq!(
        report["topology"]["gpus"][0]["home_nodes"],
        serde_json::json!([])
    );
    // No finding about a process depends on its GPU's node.
    let findings = report["findings"].as_array().unwrap().iter();
    let rules: Vec<&Value> = findings.map(|finding| &finding["rule"]).collect();
    assert_eq!(
        rules,
        ["gpu-node-unknown", "gpu-node-unknown", "cpus-crowded"]
    );
    for (answer, source) in [
        ("override.json", "override"),
        ("cpu-affinity.json", "nvml-cpu-affinity"),
        ("memory-affinity.json", "nvml-memory-affinity"),
    ] {
        let told = left.json(answer);
        let gpu = &told["topology"]["gpus"][0];
        let home = (&gpu["home_nodes"][0], &gpu["home_source"]);
        assert_eq!(home, (&0.into(), &source.into()));
        verdicts(left, &told, "bound", "ok", "ok");
        verdicts(left, &told, "crossed", "mismatch", "ok");
    }
}
