//! Workers of every origin, and which trainer each belongs to: `guest/families` on the shape p4d.

use std::process::Command;

use serde_json::{Value, json};

use crate::guest::Left;
use crate::shapes::replay_differs;

/// The processes of a report that belong to this trainer, by the evidence for it.
fn workers(report: &Value, trainer: u64) -> Vec<(&str, &Value)> {
    let processes = report["processes"].as_array().unwrap().iter();
    let own =
        processes.filter(|process| process["trainer_pid"] == trainer && process["pid"] != trainer);
    let mut told: Vec<_> = own
        .map(|process| (process["attribution"].as_str().unwrap(), process))
        .collect();
    told.sort_by_key(|(how, process)| (*how, process["pid"].as_u64()));
    told
}

fn of_pid(report: &Value, pid: u64) -> &Value {
    let mut processes = report["processes"].as_array().unwrap().iter();
    processes
        .find(|process| process["pid"] == pid)
        .unwrap_or(&Value::Null)
}

#[test]
fn workers_of_every_origin_are_attributed() {
    let Some(left) = Left::of("p4d", "families") else {
        return;
    };
    let report = left.json("audit.json");
    let table = left.text("audit.txt");

    // torchrun's ranks, with data loaders that were forked, orphaned, or started by a fork server.
    let (first, second) = (left.job("rank0"), left.job("rank1"));
    let kinds = |trainer| {
        let workers = workers(&report, trainer);
        let told = workers
            .iter()
            .map(|(how, process)| (*how, process["role"].as_str().unwrap()));
        told.collect::<Vec<_>>()
    };
    let (pipe, served) = (("pipe", "worker"), ("forkserver", "worker"));
    let (forked, server) = (("ancestor", "worker"), ("ancestor", "helper"));
    assert_eq!(kinds(first), [forked, server, served, served, pipe, pipe]);
    assert_eq!(
        kinds(second),
        [forked, pipe, pipe, pipe, pipe],
        "its fork server was killed"
    );
    for (trainer, rank) in [(first, 0), (second, 1)] {
        let of_trainer = of_pid(&report, trainer);
        assert_eq!(
            (&of_trainer["rank"], &of_trainer["gpus"]),
            (&json!(rank), &json!([rank * 4]))
        );
        for (how, worker) in workers(&report, trainer) {
            assert_eq!(worker["gpus"], json!([rank * 4]), "{how}");
            let reparented = how == "pipe";
            assert_eq!(worker["ppid"] == 1, reparented, "{worker:#}");
        }
    }
    let launchers = report["processes"].as_array().unwrap().iter();
    let agent = launchers
        .filter(|process| process["task"] == "torchrun agent")
        .count();
    assert_eq!(agent, 1);

    // The killed job's data loader.
    let nobodys = report["processes"].as_array().unwrap().iter();
    let mut nobodys =
        nobodys.filter(|process| process["role"] == "worker" && process["trainer_pid"].is_null());
    let stray = nobodys.next().unwrap();
    assert_eq!((&stray["verdict"], nobodys.next()), (&Value::Null, None));
    assert!(table.contains("Workers without a known trainer"), "{table}");

    // MPS.
    let server = of_pid(&report, left.job("server"));
    assert_eq!(
        (&server["role"], &server["verdict"]),
        (&json!("helper"), &Value::Null)
    );
    let client = of_pid(&report, left.job("client"));
    assert_eq!(
        (&client["role"], &client["gpus"]),
        (&json!("trainer"), &json!([1]))
    );

    // A MIG device has the home node of its GPU, and its worker belongs to it too.
    let on_mig = of_pid(&report, left.job("mig"));
    let instance = json!([{"gpu": 7, "gpu_instance_id": 1, "compute_instance_id": 0}]);
    assert_eq!(
        (&on_mig["mig_instances"], &on_mig["home_nodes"]),
        (&instance, &json!([1]))
    );
    assert_eq!(
        workers(&report, left.job("mig"))[0].1["mig_instances"],
        instance
    );
    assert!(table.contains("GI 1"), "{table}");

    // A process in another PID namespace, seen from outside.
    let nested = of_pid(&report, left.job("nested"));
    assert_eq!(
        (&nested["role"], &nested["inner_pids"]),
        (&json!("trainer"), &json!([1]))
    );
    assert!(table.contains("INNER PID"), "{table}");

    // Only its environment shows its GPU: memory of GPU 6 is in use, and NVML lists no process there.
    let hinted = of_pid(&report, left.job("hinted"));
    assert_eq!(
        (&hinted["gpus"], &hinted["gpu_source"]),
        (&json!([6]), &json!("environ"))
    );
    assert!(table.contains("trainer?"), "{table}");
    let blind = left.json("blind.json");
    let by_files = of_pid(&blind, first);
    assert_eq!(
        (&by_files["gpus"], &by_files["gpu_source"]),
        (&json!([0]), &json!("fd"))
    );

    rights(&left, &report);
    assert_eq!(replay_differs(&left, &report), "");
    redacted(&left, &report);
}

/// With fewer permissions each field is a value or has a reason.
fn rights(left: &Left, report: &Value) {
    let gaps = |report: &Value, what: &str| {
        let gaps = report["incomplete"].as_array().unwrap().iter();
        gaps.filter(|gap| gap["what"] == what && gap["reason"] == "permission denied")
            .count()
    };
    let trainer = left.job("rank0");
    let user = left.json("user.json");
    assert_eq!(
        of_pid(&user, trainer)["memory"]["by_node_bytes"],
        Value::Null
    );
    assert_eq!(
        of_pid(&user, trainer)["cpu"]["verdict"],
        of_pid(report, trainer)["cpu"]["verdict"]
    );
    assert!(
        gaps(&user, "memory") > 0 && gaps(&user, "environ") > 0 && gaps(&user, "open files") > 0
    );
    // Memory can be read, environments and open files cannot.
    let ptrace = left.json("rights-sys_ptrace.json");
    let memory = &of_pid(report, trainer)["memory"]["by_node_bytes"];
    assert_eq!(of_pid(&ptrace, trainer)["memory"]["by_node_bytes"], *memory);
    assert_eq!(of_pid(&ptrace, trainer)["rank"], Value::Null);
    assert_eq!(gaps(&ptrace, "memory"), 0);
    assert!(gaps(&ptrace, "environ") > 0 && gaps(&ptrace, "open files") > 0);
    // An orphan is then attributed by its session.
    let by_session = workers(&ptrace, trainer)
        .iter()
        .filter(|(how, _)| *how == "session")
        .count();
    assert_eq!(by_session, 2);
    let all = left.json("rights-sys_ptrace--dac_read_search.json");
    assert_eq!(
        all["processes"].as_array().unwrap().len(),
        report["processes"].as_array().unwrap().len()
    );
    assert_eq!(all["incomplete"], report["incomplete"]);
}

/// The attribution does not need the names that `--redact` hides.
fn redacted(left: &Left, report: &Value) {
    let mut replay = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    replay
        .args(["--json", "--snapshot"])
        .arg(left.path("redacted.tar.gz"));
    let replayed: Value = serde_json::from_slice(&replay.output().unwrap().stdout).unwrap();
    let told = |report: &Value| {
        let processes = report["processes"].as_array().unwrap().iter();
        let told = processes
            .map(|of| json!([of["pid"], of["role"], of["trainer_pid"], of["attribution"]]));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&replayed), told(report));
}
