//! Which processes an audit covers, and their roles.

use std::fs;

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, open_files, with_trainer};
use crate::program::{ends, of_role};

#[test]
fn open_files_show_a_trainer_that_nvml_does_not_list() {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1C.0", "1\n");
    tree.process(&PLACED);
    open_files(&tree, 100, &[23, 7]);
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        name: "pt_data_worker",
        ..PLACED
    });
    // A forked worker inherits its trainer's files (seen with PyTorch on two H200s).
    open_files(&tree, 101, &[23, 7]);
    tree.process(&Process { pid: 200, ..PLACED });
    open_files(&tree, 200, &[7, 7]);
    let document = tree.audit(&["--json"]).json();
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(
        (&trainer["pid"], &trainer["gpus"]),
        (&json!(100), &json!([0]))
    );
    assert_eq!(
        (&trainer["gpu_source"], &trainer["attribution"]),
        (&json!("fd"), &json!("fd"))
    );
    assert_eq!(of_role(&document, "worker")[0]["trainer_pid"], 100);
    assert_eq!(
        document["processes"].as_array().unwrap().len(),
        2,
        "one that opened all alike is on none"
    );
    assert_eq!(tree.audit(&[]).code, Some(0));
    // NVML's list outweighs it.
    tree.listed(0, 200, "compute", 1 << 30);
    let document = tree.audit(&["--json"]).json();
    let trainers = of_role(&document, "trainer").into_iter();
    assert_eq!(
        trainers
            .map(|process| process["pid"].clone())
            .collect::<Vec<_>>(),
        [200]
    );
}

#[test]
fn a_pid_of_another_namespace_matches_no_local_process() {
    let tree = with_trainer(&PLACED);
    open_files(&tree, 100, &[]);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    let document = run.json();
    assert_eq!(document["processes"], json!([]));
    let gaps = document["incomplete"].as_array().unwrap();
    assert!(
        gaps.iter()
            .any(|gap| gap["pid"] == 100 && gap["what"] == "process"),
        "{gaps:?}"
    );
}

/// The PID that NVML lists is of another namespace, and the local trainer is found by its open files. The same holds for a
/// recording that has only the number of the other process.
#[test]
fn a_pid_of_another_namespace_hides_no_local_process() {
    let tree = with_trainer(&Process { pid: 300, ..PLACED });
    open_files(&tree, 300, &[]);
    tree.process(&PLACED);
    open_files(&tree, 100, &[23, 7]);
    let seen = |tree: &Tree| {
        let document = tree.audit_as_recorded(&["--json"]).json();
        let trainers = of_role(&document, "trainer").into_iter();
        let trainers: Vec<Value> = trainers.map(|process| process["pid"].clone()).collect();
        (trainers, document["incomplete"].clone())
    };
    tree.file("snapshot.json", "{\"format\": 1}");
    let at_first = seen(&tree);
    assert_eq!(at_first.0, [100]);
    fs::remove_dir_all(tree.folder.path().join("proc/300")).unwrap();
    tree.file("snapshot.json", "{\"format\": 1, \"strangers\": [300]}");
    assert_eq!(seen(&tree), at_first);
    // Nor does one that does not exist here hide any.
    tree.file("snapshot.json", "{\"format\": 1}");
    assert_eq!(seen(&tree).0, [100]);
}

#[test]
fn mps_servers_are_not_judged() {
    let mut tree = Tree::new();
    let server = Process {
        name: "nvidia-cuda-mps",
        threads: &[(2, "2-3")],
        ..PLACED
    };
    // The daemon and, below it, the server.
    tree.process(&Process { pid: 99, ..server });
    tree.trainer(&Process { ppid: 99, ..server });
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(0));
    let document = run.json();
    assert_eq!(document["summary"]["processes"], 0);
    let server = of_role(&document, "helper")[0];
    assert_eq!(
        (&server["gpus"], &server["verdict"]),
        (&json!([0]), &Value::Null)
    );
}

#[test]
fn an_mps_entry_of_zero_bytes_is_not_a_context() {
    let mut tree = with_trainer(&PLACED);
    tree.process(&Process { pid: 200, ..PLACED });
    tree.listed(0, 200, "mps", 0);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(document["summary"]["processes"], 1);
}

#[test]
fn shells_of_sessions_and_services_are_not_launchers() {
    let mut tree = Tree::new();
    for (pid, ppid, name, command) in [
        (1, 0, "custom-init", "/sbin/init\0"),
        (20, 1, "sshd", "sshd: ann\0"),
        (30, 20, "bash", "-bash\0"),
        (40, 30, "bash", "bash\0run.sh\0"),
        (50, 40, "pt_elastic", "python3\0torchrun\0train.py\0"),
        (
            51,
            50,
            "python3",
            "python3\0-c\0from multiprocessing.resource_tracker import main;main(5)\0",
        ),
        (52, 50, "tensorboard", "tensorboard\0"),
    ] {
        let process = Process {
            pid,
            ppid,
            name,
            command,
            ..PLACED
        };
        tree.process(&process);
    }
    tree.trainer(&Process { ppid: 50, ..PLACED });
    let document = tree.audit(&["--json"]).json();
    let pids = |role| {
        let found = of_role(&document, role).into_iter();
        found
            .map(|process| process["pid"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(pids("launcher"), [40, 50]);
    assert_eq!(pids("helper"), [51]);
    assert_eq!(document["processes"].as_array().unwrap().len(), 4);
}

#[test]
fn init_is_recognised_by_its_control_group() {
    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 1,
        ppid: 0,
        name: "entrypoint",
        ..PLACED
    });
    tree.trainer(&PLACED);
    let launchers = |tree: &Tree| {
        let document = tree.audit(&["--json"]).json();
        of_role(&document, "launcher").len()
    };
    assert_eq!(launchers(&tree), 1, "in a container it launched the job");
    tree.file("proc/1/cgroup", "0::/init.scope\n");
    assert_eq!(launchers(&tree), 0);
}

#[test]
fn filters_keep_workers_with_their_trainer() {
    let mut tree = with_trainer(&PLACED);
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        name: "pt_data_worker",
        ..PLACED
    });
    tree.trainer(&Process { pid: 200, ..PLACED });
    let pids = |arguments: &[&str]| {
        let run = tree.audit(&[arguments, &["--json"]].concat());
        let document = run.json();
        let processes = document["processes"].as_array().unwrap().iter();
        processes
            .map(|process| process["pid"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(pids(&[]), [100, 101, 200]);
    assert_eq!(pids(&["--pid", "100"]), [100, 101]);
    assert_eq!(
        pids(&["--pid", "101"]),
        [101],
        "and it knows its trainer all the same"
    );
    assert_eq!(pids(&["--gpu", "0"]), [100, 101, 200]);
    assert_eq!(pids(&["--gpu", "10:1C.0"]), [100, 101, 200]);
    assert_eq!(pids(&["--user", "7"]), [100, 101, 200]);
    assert_eq!(pids(&["--user", "8"]), [0; 0]);
    assert_eq!(pids(&["--gpu", "GPU-0a"]), [100, 101, 200]);
    tree.file("proc/101/status", "nonsense\n");
    assert_eq!(pids(&["--user", "8"]), [101], "whose it is cannot be told");
    let document = tree.audit(&["--pid", "101", "--json"]).json();
    assert_eq!(document["processes"][0]["trainer_pid"], 100);
}

#[test]
fn a_chain_of_four_thousand_generations_is_read() {
    let mut tree = with_trainer(&PLACED);
    tree.listed(0, 5000, "compute", 1);
    for pid in 1000..5001 {
        tree.process(&Process {
            pid,
            ppid: if pid == 1000 { 100 } else { pid - 1 },
            ..PLACED
        });
    }
    let document = ends(|| tree.audit(&["--json"])).json();
    assert_eq!(document["processes"].as_array().unwrap().len(), 4002);
}
