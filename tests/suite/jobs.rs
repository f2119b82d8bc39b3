//! Which trainer, GPU and job a process belongs to where neither its parent nor the driver shows it: orphaned workers, hints,
//! names, control groups.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, open_files, with_trainer};
use crate::program::{Run, ends, finding, main_table, of_role};

/// Two trainers in two sessions, on GPU 0 and 1. They share one inherited pipe, and each has one of its own.
fn two_trainers() -> Tree {
    let mut tree = Tree::new();
    for (pid, gpu, own) in [(100, 0, "pipe:[10]"), (200, 1, "pipe:[20]")] {
        tree.process(&Process { pid, ..PLACED });
        tree.listed(gpu, pid, "compute", 1 << 30);
        tree.open(
            pid,
            &[
                "/dev/null",
                "pipe:[1]",
                "pipe:[1]",
                "/dev/nvidiactl",
                "pipe:[7]",
                own,
            ],
        );
    }
    tree
}

/// A data loader whose parent has ended.
const ORPHAN: Process = Process {
    pid: 300,
    ppid: 1,
    name: "pt_data_worker",
    ..PLACED
};

/// What the audit reports about PID 300.
#[track_caller]
fn of_300(tree: &Tree) -> (Value, Value) {
    let document = tree.audit(&["--json"]).json();
    let processes = document["processes"].as_array().unwrap().iter();
    let mut found = processes.filter(|process| process["pid"] == 300);
    (found.next().cloned().unwrap_or_default(), document)
}

#[test]
fn an_orphan_is_attributed_by_its_pipes() {
    let tree = two_trainers();
    tree.process(&ORPHAN);
    tree.open(
        300,
        &["/dev/null", "pipe:[1]", "pipe:[1]", "pipe:[7]", "pipe:[20]"],
    );
    // Its descendants belong to the same trainer.
    tree.process(&Process {
        pid: 301,
        ppid: 300,
        ..ORPHAN
    });
    let (orphan, document) = of_300(&tree);
    assert_eq!(orphan["role"], "worker");
    assert_eq!(
        (&orphan["trainer_pid"], &orphan["gpus"]),
        (&json!(200), &json!([1]))
    );
    assert_eq!(orphan["attribution"], "pipe");
    assert_eq!(orphan["verdict"], "mismatch", "GPU 1 is on the other node");
    let below = of_role(&document, "worker")[1];
    assert_eq!(
        (&below["trainer_pid"], &below["attribution"]),
        (&json!(200), &json!("ancestor"))
    );
}

#[test]
fn an_orphan_is_attributed_by_its_rank() {
    let tree = two_trainers();
    tree.process(&ORPHAN);
    // Its fd folder was not recorded.
    for (pid, rank) in [(100, 0), (200, 1), (300, 1)] {
        let environ = format!("RANK={rank}\0MASTER_PORT=29500\0TORCHELASTIC_RUN_ID=none\0");
        tree.file(&format!("proc/{pid}/environ"), &environ);
    }
    let (orphan, _) = of_300(&tree);
    assert_eq!(
        (&orphan["trainer_pid"], &orphan["attribution"]),
        (&json!(200), &json!("environ"))
    );
}

#[test]
fn an_orphan_is_attributed_by_shared_memory() {
    let tree = two_trainers();
    let maps = "7f0000000000 default file=/dev/shm/torch_200_1766_0\\040(deleted) dirty=1 N0=1 kernelpagesize_kB=4\n";
    tree.process(&Process {
        numa_maps: Some(maps),
        ..ORPHAN
    });
    let (orphan, _) = of_300(&tree);
    assert_eq!(
        (&orphan["trainer_pid"], &orphan["attribution"]),
        (&json!(200), &json!("shm"))
    );
}

#[test]
fn an_orphan_with_conflicting_evidence_is_not_attributed() {
    let tree = two_trainers();
    tree.process(&ORPHAN);
    tree.open(
        300,
        &[
            "/dev/null",
            "/dev/null",
            "/dev/null",
            "pipe:[10]",
            "pipe:[20]",
        ],
    );
    let (orphan, document) = of_300(&tree);
    assert_eq!(
        (&orphan["trainer_pid"], &orphan["attribution"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(
        (&orphan["role"], &orphan["verdict"]),
        (&json!("worker"), &json!("unknown"))
    );
    let why = json!({"pid": 300, "what": "trainer", "kind": "membership", "reason": "the evidence does not point to one trainer (its pipes: 100,200)"});
    assert!(
        document["incomplete"].as_array().unwrap().contains(&why),
        "{}",
        document["incomplete"]
    );
    let run = tree.audit(&[]);
    assert!(
        run.stdout.contains("\nWorkers without a known trainer\n"),
        "{}",
        run.stdout
    );
    // GPU 1's trainer is on the wrong node, which is worse.
    assert_eq!(run.code, Some(1));
    assert_eq!(tree.audit(&["--fail-on", "never"]).code, Some(3));
}

#[test]
fn a_worker_of_a_dead_job_is_listed_and_not_judged() {
    let tree = two_trainers();
    tree.process(&ORPHAN);
    tree.open(300, &["/dev/null", "/dev/null", "/dev/null", "pipe:[99]"]);
    let (orphan, document) = of_300(&tree);
    assert_eq!(
        (&orphan["role"], &orphan["verdict"]),
        (&json!("worker"), &json!(null))
    );
    assert_eq!(document["incomplete"], json!([]));
    assert_eq!(tree.audit(&["--fail-on", "never"]).code, Some(0));
}

/// A forked process has its trainer's command line and session; another job's has another session.
#[test]
fn a_forked_worker_is_attributed_by_its_session() {
    let tree = two_trainers();
    let fork = Process {
        name: "python3",
        ..ORPHAN
    };
    let session = |pid: u32, session: u32| {
        let path = tree.folder.path().join(format!("proc/{pid}/stat"));
        let text = std::fs::read_to_string(&path).unwrap();
        let mut fields: Vec<String> = text.split(' ').map(Into::into).collect();
        fields[5] = session.to_string();
        std::fs::write(path, fields.join(" ")).unwrap();
    };
    tree.process(&fork);
    session(100, 100);
    session(200, 200);
    session(300, 100);
    let (orphan, _) = of_300(&tree);
    assert_eq!(
        (&orphan["trainer_pid"], &orphan["attribution"]),
        (&json!(100), &json!("session"))
    );
    session(300, 999);
    assert_eq!(of_300(&tree).0, json!(null), "it may be anybody's");
}

/// A data loader whose parent is a Python program without a GPU belongs to that program.
#[test]
fn a_worker_with_a_parent_is_not_an_orphan() {
    let tree = two_trainers();
    tree.process(&Process { pid: 250, ..PLACED });
    tree.process(&Process {
        ppid: 250,
        ..ORPHAN
    });
    assert_eq!(of_300(&tree).0, json!(null));
}

/// NVML lists no process, and the open driver files show no GPU clearly.
fn silent(environ: &str) -> Tree {
    let tree = Tree::new();
    tree.process(&PLACED);
    open_files(&tree, 100, &[3, 3]);
    tree.file("proc/100/environ", environ);
    tree
}

#[test]
fn a_gpu_from_the_environment_is_marked_as_a_hint() {
    for environ in [
        "CUDA_VISIBLE_DEVICES=0\0",
        "CUDA_VISIBLE_DEVICES=GPU-0a\0",
        "LOCAL_RANK=0\0",
    ] {
        let tree = silent(environ);
        // Its launcher has the variable too, and has asked the driver for the number of GPUs.
        let document = tree.audit(&["--json"]).json();
        let trainer = of_role(&document, "trainer")[0];
        assert_eq!(trainer["gpus"], json!([0]), "{environ}");
        assert_eq!(
            (&trainer["gpu_source"], &trainer["attribution"]),
            (&json!("environ"), &json!("environ"))
        );
        let table = tree.audit(&[]).stdout;
        assert!(table.contains("  trainer?  100 "), "{table}");
    }
}

#[test]
fn stronger_evidence_outweighs_a_hint() {
    let tree = silent("CUDA_VISIBLE_DEVICES=0\0");
    tree.process(&Process {
        pid: 200,
        ppid: 100,
        ..PLACED
    });
    open_files(&tree, 200, &[23, 7]);
    let document = tree.audit(&["--json"]).json();
    let trainers = of_role(&document, "trainer");
    assert_eq!(trainers.len(), 1);
    assert_eq!(
        (&trainers[0]["pid"], &trainers[0]["gpu_source"]),
        (&json!(200), &json!("fd"))
    );
    assert_eq!(of_role(&document, "launcher")[0]["pid"], 100);
}

#[test]
fn without_a_hint_no_gpu_is_guessed() {
    for environ in [
        "",
        "CUDA_VISIBLE_DEVICES=\0",
        "CUDA_VISIBLE_DEVICES=7\0",
        "LOCAL_RANK=5\0",
    ] {
        let run = silent(environ).audit(&["--json"]);
        assert_eq!(run.json()["processes"], json!([]), "{environ}");
        assert_eq!(run.code, Some(3), "somebody uses the GPU's memory");
    }
}

#[test]
fn a_cpuset_is_reported_apart_from_a_chosen_binding() {
    let elsewhere = Process {
        threads: &[(2, "2-3")],
        ..PLACED
    };
    let tree = with_trainer(&elsewhere);
    let group = "sys/fs/cgroup/job/step";
    tree.file("proc/100/cgroup", "0::/job/step/task\n");
    let given = |cpus: &str, mems: &str| {
        tree.file(&format!("{group}/cpuset.cpus.effective"), cpus);
        tree.file(&format!("{group}/cpuset.mems.effective"), mems);
        tree.judges("mismatch", "ok", 1)
    };
    let rules = |document: &Value| of_role(document, "trainer")[0]["findings"].clone();
    let message = |document: &Value| {
        let finding = finding(document, "cpu-remote");
        finding["message"].as_str().unwrap().to_owned()
    };

    let given_only_this = given("2-3\n", "0-1\n");
    assert_eq!(
        rules(&given_only_this),
        json!(["cpuset-excludes-gpu", "cpu-remote"])
    );
    assert!(message(&given_only_this).ends_with("(by the cpuset, which allows no local CPUs)"));
    assert_eq!(
        finding(&given_only_this, "cpu-remote")["remedy"],
        "change the cpuset first (see cpuset-excludes-gpu): it does not allow the right nodes"
    );
    assert_eq!(
        finding(&given_only_this, "cpuset-excludes-gpu")["message"],
        "GPU 0 is attached to node 0, but the cpuset of trainer 100 allows only CPUs of node 1"
    );
    let cpu = &of_role(&given_only_this, "trainer")[0]["cpu"];
    assert_eq!(
        (&cpu["cpuset"], &cpu["cpuset_nodes"]),
        (&json!("2-3"), &json!([1]))
    );

    let chose_this = given("0-3\n", "0-1\n");
    assert_eq!(rules(&chose_this), json!(["cpu-remote"]));
    assert!(message(&chose_this).ends_with("(by CPU affinity; the cpuset also allows local CPUs)"));
}

#[test]
fn a_cpuset_of_cgroup_version_1_is_read() {
    let tree = with_trainer(&PLACED);
    tree.file("proc/100/cgroup", "5:cpuset:/slurm/uid_1/job_42\n0::/\n");
    let group = "sys/fs/cgroup/cpuset/slurm/uid_1/job_42";
    tree.file(&format!("{group}/cpuset.effective_cpus"), "2-3\n");
    tree.file(&format!("{group}/cpuset.effective_mems"), "1\n");
    let document = tree.audit(&["--json"]).json();
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(trainer["cpu"]["cpuset"], "2-3");
    assert_eq!(trainer["job"], "42");
}

#[test]
fn an_absent_cpuset_is_not_a_gap() {
    for cgroup in [
        "0::/\n",
        "0::/../outside\n",
        "0::/a/../../../etc\n",
        "1:name=systemd:/\n",
    ] {
        let tree = with_trainer(&PLACED);
        tree.file("proc/100/cgroup", cgroup);
        let document = tree.judges("ok", "ok", 0);
        assert_eq!(
            of_role(&document, "trainer")[0]["cpu"]["cpuset"],
            json!(null)
        );
        assert_eq!(document["incomplete"], json!([]));
    }
}

#[test]
fn a_memory_cpuset_without_the_gpus_node_is_reported() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default anon=25600 N1=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    let status = "Uid:\t7\t7\t7\t7\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t1\n";
    tree.file("proc/100/status", status);
    let document = tree.judges("ok", "mismatch", 1);
    let rules = &of_role(&document, "trainer")[0]["findings"];
    assert_eq!(*rules, json!(["cpuset-excludes-gpu", "memory-remote"]));
}

#[test]
fn tenants_and_inner_pids_are_reported() {
    let id = "0123456789abcdef".repeat(4);
    let pod = "2f48ee08-1f5c-4a2f-8d6c-111122223333";
    let tree = with_trainer(&PLACED);
    tree.file(
        "proc/100/cgroup",
        &format!("0::/kubepods/burstable/pod{pod}/{id}\n"),
    );
    let status =
        "Uid:\t7\t7\t7\t7\nNSpid:\t100\t1\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t0-1\n";
    tree.file("proc/100/status", status);
    let document = tree.audit(&["--json"]).json();
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(
        (&trainer["pod"], &trainer["container"]),
        (&json!(pod), &json!(id))
    );
    assert_eq!(trainer["inner_pids"], json!([1]));
    let mut command = crate::program::program();
    command
        .arg("--snapshot")
        .arg(tree.folder.path())
        .env("COLUMNS", "200");
    let table = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(table.contains("INNER PID"), "{table}");
    assert!(table.contains(pod), "{table}");
    assert_eq!(trainer.get("pod_name"), None);
    // A recording has the names that /var/log/pods showed.
    let manifest = json!({"format": 1, "pods": {pod: "training/resnet-0"}});
    tree.file("snapshot.json", &manifest.to_string());
    let named = Run::from(tree.command(&["--json"]).output().unwrap()).json();
    let trainer = of_role(&named, "trainer")[0];
    assert_eq!(trainer["pod_name"], "training/resnet-0");
    assert_eq!(trainer["pod"], pod);
    let table = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(table.contains("training/resnet-0"), "{table}");
    assert!(!table.contains(pod), "{table}");
}

#[test]
fn names_that_frameworks_use_are_reported_beside_the_evidence() {
    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 90,
        name: "VLLM::EngineCor",
        command: "VLLM::EngineCore\0",
        ..PLACED
    });
    tree.trainer(&Process {
        ppid: 90,
        name: "VLLM::Worker_TP",
        command: "VLLM::Worker_TP0\0",
        ..PLACED
    });
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        command: "python3\0/x/torch/_inductor/compile_worker/__main__.py\0--kind=fork\0",
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    let told: Vec<Value> = document["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| json!([process["role"], process["framework"], process["task"]]))
        .collect();
    assert_eq!(
        told,
        [
            json!(["launcher", "vLLM", "engine core"]),
            json!(["trainer", "vLLM", "worker"]),
            json!(["helper", "PyTorch", "compile worker"]),
        ]
    );
}

#[test]
fn a_mig_instance_is_shown_and_has_the_home_node_of_its_gpu() {
    let tree = Tree::new();
    tree.process(&PLACED);
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        ..PLACED
    });
    tree.process(&Process { pid: 200, ..PLACED });
    let nvml = json!({"gpus": [{
        "index": 0, "pci_bus_id": "00000000:10:1C.0", "name": "NVIDIA A100",
        "mig_devices": [{"gpu_instance_id": 1, "compute_instance_id": 0, "uuid": "MIG-a"}],
        "processes": [
            {"pid": 100, "kind": "compute", "gpu_instance_id": 1, "compute_instance_id": 0},
            {"pid": 200, "kind": "compute", "gpu_instance_id": 2},
        ],
    }]});
    tree.file("snapshot.json", "{\"format\": 1}");
    tree.file("nvml.json", &nvml.to_string());
    let replay = |arguments: &[&str]| -> crate::program::Run {
        let mut command = crate::program::program();
        command
            .arg("--snapshot")
            .arg(tree.folder.path())
            .args(arguments);
        command.output().unwrap().into()
    };
    let document = replay(&["--json"]).json();
    let instances: Vec<Value> = document["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|of| of["mig_instances"].clone())
        .collect();
    let first = json!([{"gpu": 0, "gpu_instance_id": 1, "compute_instance_id": 0}]);
    let second = json!([{"gpu": 0, "gpu_instance_id": 2, "compute_instance_id": null}]);
    assert_eq!(instances, [first.clone(), first, second]);
    snapbox::assert_data_eq!(
        main_table(&replay(&[]).stdout),
        snapbox::str![[r#"
 GPU  ROLE     PID  RANK  GPU NODE  MIG        CPU NODE  CPUS  MEM      MEMORY BY NODE   VERDICT
                                                               BINDING
 0    trainer  100  -     0         GI 1 CI 0  0         0-1   [0, 1]   0: 100% 100 MiB  ok
 0    worker   101  -     0         GI 1 CI 0  0         0-1   [0, 1]   0: 100% 100 MiB  ok
 0    trainer  200  -     0         GI 2       0         0-1   [0, 1]   0: 100% 100 MiB  ok

"#]]
    );
}

#[test]
fn the_uuid_of_a_mig_device_is_a_hint() {
    let tree = silent("CUDA_VISIBLE_DEVICES=MIG-a\0");
    tree.file("snapshot.json", "{\"format\": 1}");
    let nvml = json!({"gpus": [{
        "index": 0, "minor_number": 0, "pci_bus_id": "00000000:10:1C.0", "memory_used_bytes": 1u64 << 30, "processes": [],
        "mig_devices": [{"gpu_instance_id": 1, "compute_instance_id": 0, "uuid": "MIG-a"}],
    }]});
    tree.file("nvml.json", &nvml.to_string());
    let mut command = crate::program::program();
    command
        .args(["--json", "--snapshot"])
        .arg(tree.folder.path());
    let document = crate::program::Run::from(command.output().unwrap()).json();
    assert_eq!(of_role(&document, "trainer")[0]["gpu_source"], "environ");
}

/// Each is looked up with all its ancestors; once that woke the readers at every step.
#[test]
fn a_chain_of_a_thousand_trainers_is_read() {
    let mut tree = Tree::new();
    for pid in 100..1100 {
        tree.trainer(&Process {
            pid,
            ppid: pid - 1,
            ..PLACED
        });
    }
    let document = ends(|| tree.audit(&["--json"])).json();
    assert_eq!(document["summary"]["processes"], 1000);
}

#[test]
fn control_characters_in_json_are_escaped() {
    let mut tree = Tree::new();
    let name = "a\u{9b}2J\u{202e}\u{7f}";
    tree.trainer(&Process { name, ..PLACED });
    let run = tree.audit(&["--json"]);
    let acts = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
    assert!(!run.stdout.contains(acts), "{}", run.stdout);
    assert_eq!(run.json()["processes"][0]["name"], name);
}
