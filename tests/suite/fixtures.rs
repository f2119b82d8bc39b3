//! The recorded machines in fixtures/.

use std::process::Command;

use serde_json::{Value, json};

use crate::program::{about_processes, fixture, of_role, replay};

const FIXTURES: &[&str] = &[
    "p4d-do-not-match",
    "p4d-bound",
    "h200x4-mp-spawn",
    "h200x4-torchrun-forkserver",
    "h200x2-mp-spawn",
];

/// Compares every number with those of a script that shares no code with the program.
#[test]
fn a_second_reader_of_the_same_trees_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    for name in FIXTURES {
        std::fs::write(&report, replay(name, &["--json"]).stdout).unwrap();
        let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle.py");
        let mut command = Command::new("python3");
        command.arg(oracle).arg(fixture(name)).arg(&report);
        let output = command
            .output()
            .expect("python3, which README names, is installed");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{name}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        println!("{name}: {}", said.trim());
    }
}

#[test]
fn the_case_of_the_post_is_a_mismatch() {
    let run = replay("p4d-do-not-match", &["--json"]);
    let document = run.json();
    assert_eq!(run.code, Some(1));
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["host"]["source"], "snapshot");
    let trainers = of_role(&document, "trainer");
    let workers = of_role(&document, "worker");
    assert_eq!((trainers.len(), workers.len()), (1, 4));
    for process in trainers.iter().chain(&workers) {
        assert_eq!(process["gpus"], json!([0]));
        assert_eq!(process["home_nodes"], json!([0]));
        assert_eq!(process["trainer_pid"], trainers[0]["pid"]);
        assert_eq!(process["cpu"]["node"], 1);
        assert_eq!(process["cpu"]["bound"], false);
        assert_eq!(process["memory"]["node"], 1);
        assert_eq!(process["memory"]["policy"], "default");
        assert_eq!(process["memory"]["mems_allowed"], json!([0, 1]));
        assert_eq!(process["verdict"], "mismatch");
        // Only the trainer has pinned memory.
        let mut rules = vec!["cpu-remote", "memory-remote"];
        rules.extend((process["role"] == "trainer").then_some("pinned-remote"));
        assert_eq!(process["findings"], json!(rules));
    }
    let findings = document["findings"].as_array().unwrap();
    let messages: Vec<&str> = findings
        .iter()
        .filter_map(|f| f["message"].as_str())
        .collect();
    assert!(
        messages[0].starts_with("GPU and CPU NUMA nodes do NOT match"),
        "{messages:?}"
    );
    assert!(
        messages[1].starts_with("GPU and memory NUMA nodes do NOT match"),
        "{messages:?}"
    );
    assert_eq!(document["summary"]["mismatch"], 5);
    assert_eq!(document["summary"]["verdict"], "mismatch");
}

#[test]
fn the_bound_job_is_ok() {
    let run = replay("p4d-bound", &["--json"]);
    let document = run.json();
    assert_eq!(run.code, Some(0));
    for trainer in of_role(&document, "trainer") {
        let gpu = trainer["gpus"][0].as_u64().unwrap();
        assert_eq!(trainer["memory"]["policy"], "bind");
        assert_eq!(trainer["memory"]["policy_nodes"], json!([gpu / 4]));
        assert_eq!(trainer["memory"]["node"], json!(gpu / 4));
        assert_eq!(trainer["cpu"]["bound"], true);
    }
    assert_eq!(document["summary"]["ok"], document["summary"]["processes"]);
    assert_eq!(about_processes(&document), [&json!(null); 0]);
}

/// Four trainers, each with its own workers. The machine has one node, so no placement is wrong.
#[track_caller]
fn four_gpus(name: &str, workers_each: usize, attribution: &str) -> Value {
    let run = replay(name, &["--json"]);
    let document = run.json();
    assert_eq!(run.code, Some(0));
    let trainers = of_role(&document, "trainer");
    let workers = of_role(&document, "worker");
    assert_eq!(trainers.len(), 4);
    assert_eq!(workers.len(), 4 * workers_each);
    for trainer in &trainers {
        let own = workers
            .iter()
            .filter(|worker| worker["trainer_pid"] == trainer["pid"]);
        let own: Vec<_> = own.collect();
        assert_eq!(own.len(), workers_each);
        assert!(own.iter().all(|worker| worker["gpus"] == trainer["gpus"]));
        assert!(
            own.iter()
                .all(|worker| worker["attribution"] == attribution)
        );
        assert!(own.iter().all(|worker| worker["name"] == "pt_data_worker"));
    }
    for process in document["processes"].as_array().unwrap() {
        let is_judged = ["trainer", "worker"]
            .iter()
            .any(|role| process["role"] == *role);
        let verdict = if is_judged {
            json!("single-node")
        } else {
            Value::Null
        };
        assert_eq!(process["verdict"], verdict);
    }
    assert_eq!(document["summary"]["verdict"], "single-node");
    assert_eq!(
        document["topology"]["gpus"][0]["home_source"],
        "nvml-memory-affinity"
    );
    document
}

#[test]
fn spawned_trainers_have_their_pinned_memory() {
    let document = four_gpus("h200x4-mp-spawn", 4, "ancestor");
    for trainer in of_role(&document, "trainer") {
        let kinds = &trainer["memory"]["by_kind"];
        assert_eq!(kinds["pinned"]["0"], 631_521_280_u64);
    }
    let helpers = of_role(&document, "helper");
    assert_eq!(helpers.len(), 1, "the launcher's resource tracker");
    assert_eq!(of_role(&document, "launcher").len(), 1);
}

/// Made by `record --redact`.
#[test]
fn a_redacted_recording_names_nobody() {
    let document = replay("h200x2-mp-spawn", &["--json"]).json();
    assert_eq!(document["host"]["hostname"], Value::Null);
    assert_eq!(document["host"]["driver_version"], "580.159.04");
    let trainers = of_role(&document, "trainer");
    assert_eq!(trainers.len(), 2);
    assert_eq!(of_role(&document, "worker").len(), 4);
    for trainer in trainers {
        assert_eq!(
            trainer["command"],
            "redacted redacted redacted redacted redacted"
        );
        assert_eq!(trainer["gpu_source"], "nvml");
    }
}

#[test]
fn workers_behind_a_fork_server_have_their_trainer() {
    let document = four_gpus("h200x4-torchrun-forkserver", 2, "forkserver");
    let helpers = of_role(&document, "helper");
    assert_eq!(
        helpers.len(),
        8,
        "a fork server and a resource tracker for each trainer"
    );
    let ranks = of_role(&document, "trainer")
        .into_iter()
        .map(|trainer| trainer["rank"].clone());
    assert_eq!(ranks.collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn two_runs_over_one_tree_are_the_same() {
    for name in FIXTURES {
        let once = replay(name, &["--json"]).stdout;
        assert_eq!(once, replay(name, &["--json"]).stdout);
    }
}

#[test]
fn a_folder_and_its_archive_give_the_same_report() {
    let folder = tempfile::tempdir().unwrap();
    for name in FIXTURES {
        let archive = std::fs::File::open(fixture(name)).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
        archive.unpack(folder.path()).unwrap();
        let unpacked = folder.path().join(name);
        let unpacked = unpacked.to_str().unwrap();
        let from_folder = crate::program::run(["--json", "--snapshot", unpacked]);
        assert_eq!(
            from_folder.stdout,
            replay(name, &["--json"]).stdout,
            "{name}"
        );
    }
}
