//! What starts a job: ranks, schedulers, daemons, ranks that start ranks, and what tools promise.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree};
use crate::program::{program, run};
use crate::rules::{silent, told, two_ranks};

/// Two ranks of a launcher, on GPU 0 of node 0 and on GPU 1 of node 1, with these variables.
fn ranks_with(launcher: &str, variables: fn(u32) -> Vec<String>) -> Tree {
    let tree = two_ranks(launcher, ["0-3", "0-3"]);
    for rank in 0..2 {
        let variables = variables(rank);
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        tree.variables(100 * (rank + 1), &variables);
    }
    tree
}

/// The processes of the document by PID.
fn processes(tree: &Tree) -> impl Fn(u32, &str) -> Value + use<> {
    let document = tree.audit(&["--json"]).json();
    move |pid, field| {
        let processes = document["processes"].as_array().unwrap();
        let found = processes.iter().find(|of| of["pid"] == pid);
        found.unwrap_or(&Value::Null)[field].clone()
    }
}

#[test]
fn the_table_of_ranks_names_the_variable_of_the_launcher() {
    type Variables = fn(u32) -> Vec<String>;
    let launchers: [(&str, Variables, &str); 6] = [
        (
            "mpirun\0-n\0\x32\0python3\0train.py\0",
            |rank| {
                vec![
                    format!("OMPI_COMM_WORLD_RANK={}", 8 + rank),
                    format!("OMPI_COMM_WORLD_LOCAL_RANK={rank}"),
                    "SLURM_PROCID=0".to_owned(),
                    "SLURM_LOCALID=0".to_owned(),
                ]
            },
            "case $OMPI_COMM_WORLD_LOCAL_RANK in",
        ),
        (
            "python3\0start.py\0",
            |rank| {
                vec![
                    format!("SLURM_PROCID={}", 8 + rank),
                    format!("SLURM_LOCALID={rank}"),
                    "SLURM_JOB_ID=99".to_owned(),
                ]
            },
            "case $SLURM_LOCALID in",
        ),
        (
            "mpiexec\0train.py\0",
            |rank| {
                vec![
                    format!("PALS_RANKID={rank}"),
                    format!("PALS_LOCAL_RANKID={rank}"),
                ]
            },
            "case $PALS_LOCAL_RANKID in",
        ),
        (
            "flux-shell\0train.py\0",
            |rank| {
                vec![
                    format!("FLUX_TASK_RANK={rank}"),
                    format!("FLUX_TASK_LOCAL_ID={rank}"),
                ]
            },
            "case $FLUX_TASK_LOCAL_ID in",
        ),
        (
            "prterun\0train.py\0",
            |rank| vec![format!("PMIX_RANK={rank}")],
            "case $PMIX_RANK in",
        ),
        (
            "jsmd\0train.py\0",
            |rank| {
                vec![
                    format!("JSM_NAMESPACE_RANK={}", 4 + rank),
                    format!("JSM_NAMESPACE_LOCAL_RANK={rank}"),
                ]
            },
            "case $JSM_NAMESPACE_LOCAL_RANK in",
        ),
    ];
    for (launcher, variables, expected) in launchers {
        let tree = ranks_with(launcher, variables);
        let script = tree.audit(&["--remedies"]).stdout;
        assert!(script.contains(expected), "{expected}: {script}");
    }
}

#[test]
fn the_report_says_which_variable_has_the_rank() {
    let tree = ranks_with("python3\0start.py\0", |rank| {
        vec![
            format!("SLURM_PROCID={}", 8 + rank),
            format!("SLURM_LOCALID={rank}"),
            "SLURM_JOB_ID=99".to_owned(),
            "RAY_JOB_ID=0100".to_owned(),
        ]
    });
    let field = processes(&tree);
    assert_eq!(field(200, "rank"), 9);
    assert_eq!(field(200, "rank_source"), "SLURM_PROCID");
    assert_eq!(field(200, "local_rank"), 1);
    assert_eq!(field(200, "local_rank_source"), "SLURM_LOCALID");
    assert_eq!(field(200, "job"), "99");
    assert_eq!(
        field(200, "scheduler_jobs"),
        json!([
            {"scheduler": "Slurm", "id": "99", "source": "SLURM_JOB_ID"},
            {"scheduler": "Ray", "id": "0100", "source": "RAY_JOB_ID"},
        ])
    );
    let mut table = tree.command(&[]);
    let table = table.env("COLUMNS", "200").output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("Slurm 99, Ray 0100"), "{table}");
}

/// A batch script has SLURM_PROCID=0, and so has all that it starts: that is the rank of no process below it.
#[test]
fn a_variable_that_several_ranks_inherited_is_not_their_rank() {
    let inherited = ["SLURM_PROCID=0", "SLURM_LOCALID=0", "SLURM_JOB_ID=99"];
    let tree = two_ranks("python3\0spawn.py\0", ["0-3", "0-3"]);
    for pid in [50, 100, 200] {
        tree.variables(pid, &inherited);
    }
    let field = processes(&tree);
    assert_eq!(field(100, "rank"), Value::Null);
    assert_eq!(field(200, "local_rank"), Value::Null);
    let script = tree.audit(&["--remedies"]).stdout;
    assert!(!script.contains("case $"), "{script}");
    // One rank below a script of its own has the script's variables.
    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 50,
        command: "bash\0task.sh\0",
        ..PLACED
    });
    tree.trainer(&Process { ppid: 50, ..PLACED });
    for pid in [50, 100] {
        tree.variables(pid, &["SLURM_PROCID=3", "SLURM_LOCALID=3"]);
    }
    assert_eq!(processes(&tree)(100, "rank"), 3);
}

/// A trainer that sets its rank itself: its spawned workers have it.
#[test]
fn a_rank_that_a_trainer_set_itself_is_known_from_its_workers() {
    let mut tree = Tree::new();
    tree.trainer(&PLACED);
    tree.process(&Process {
        pid: 110,
        ppid: 100,
        command: "python3\0-c\0from multiprocessing.spawn import spawn_main\0--multiprocessing-fork\0",
        ..PLACED
    });
    tree.variables(110, &["RANK=5", "LOCAL_RANK=1"]);
    let field = processes(&tree);
    assert_eq!(field(100, "rank"), 5);
    assert_eq!(field(100, "rank_source"), "workers");
    // A library of MPI sets these for a job of one process.
    tree.variables(110, &["OMPI_COMM_WORLD_RANK=0"]);
    assert_eq!(processes(&tree)(100, "rank"), Value::Null);
}

/// Lightning's own launcher: rank 0 (100) has started the other ranks, all are bound to node 0.
fn lightning(has_context: bool) -> Tree {
    let mut tree = Tree::new();
    tree.trainer(&Process {
        threads: &[(0, "0-1")],
        command: "python3\0train.py\0--epochs\08\0",
        ..PLACED
    });
    tree.process(&Process {
        pid: 200,
        ppid: 100,
        threads: &[(1, "0-1")],
        command: "/opt/venv/bin/python3\0/home/ann/train.py\0--epochs\08\0",
        ..PLACED
    });
    tree.variables(200, &["LOCAL_RANK=1", "MASTER_PORT=12910", "WORLD_SIZE=2"]);
    tree.process(&Process {
        pid: 210,
        ppid: 200,
        name: "pt_data_worker",
        threads: &[(1, "0-1")],
        ..PLACED
    });
    tree.gpu("0000:90:1C.0", "1\n");
    tree.listed(1, if has_context { 200 } else { 7 }, "compute", 1 << 30);
    tree
}

#[test]
fn ranks_below_rank_0_are_one_job() {
    let tree = lightning(true);
    let field = processes(&tree);
    assert_eq!(field(100, "local_rank"), 0);
    assert_eq!(field(100, "local_rank_source"), "elimination");
    assert_eq!(field(200, "local_rank"), 1);
    assert_eq!(field(210, "trainer_pid"), 200);
    assert_eq!(field(100, "job_group"), field(200, "job_group"));
    assert!(field(100, "job_group").is_number());
    let found = told(&tree, "ranks-on-one-node");
    assert!(found.contains("\"pids\":[100,200]"), "{found}");
    assert!(found.contains("rank 0 starts the other ranks"), "{found}");
    // No script can stand between rank 0 and the ranks that it starts.
    let script = tree.audit(&["--remedies"]).stdout;
    assert!(!script.contains("case $"), "{script}");
}

#[test]
fn a_rank_without_a_context_is_not_a_worker_of_rank_0() {
    let field = processes(&lightning(false));
    assert_eq!(field(200, "role"), "helper");
    assert_eq!(field(200, "trainer_pid"), Value::Null);
    assert_eq!(field(200, "local_rank"), 1);
    assert_eq!(field(210, "role"), "helper");
    assert_eq!(field(210, "trainer_pid"), Value::Null);
    // It is not judged, and that is said.
    let text = lightning(false).audit(&[]);
    assert_eq!(text.code, Some(3), "{}", text.stdout);
    let gap = "GPU of process 200: a rank that has no GPU context yet";
    assert!(text.stdout.contains(gap), "{}", text.stdout);
    // A worker that has the rank of its trainer is a worker.
    let tree = lightning(false);
    tree.variables(100, &["LOCAL_RANK=1"]);
    let field = processes(&tree);
    assert_eq!(field(200, "role"), "worker");
    assert_eq!(field(210, "trainer_pid"), 100);
}

/// A trainer whose parent is not one: a launcher between two trainers, and one that lost its parent.
#[test]
fn what_starts_trainers_is_a_launcher() {
    let mut tree = Tree::new();
    tree.trainer(&Process {
        pid: 40,
        name: "ipykernel",
        command: "python3\0-m\0ipykernel\0",
        ..PLACED
    });
    tree.process(&Process {
        pid: 50,
        ppid: 40,
        command: "torchrun\0train.py\0",
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.trainer(&Process { ppid: 50, ..PLACED });
    let field = processes(&tree);
    assert_eq!(field(50, "role"), "launcher");
    assert_eq!(field(50, "gpus"), json!([]));
    assert_eq!(field(50, "verdict"), Value::Null);

    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 50,
        command: "python3\0-c\0from multiprocessing.spawn import spawn_main\0--multiprocessing-fork\0",
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.trainer(&Process { ppid: 50, ..PLACED });
    let field = processes(&tree);
    assert_eq!(field(50, "role"), "launcher");
    assert_eq!(field(50, "verdict"), Value::Null);
}

#[test]
fn a_daemon_of_mpi_is_a_launcher_or_a_helper() {
    for (name, command) in [
        ("orted", "orted\0--hnp\0"),
        ("hydra_pmi_proxy", "/opt/mpich/bin/hydra_pmi_proxy\0"),
        ("prted", "/opt/ompi/bin/prted\0"),
    ] {
        let mut tree = Tree::new();
        let daemon = |pid, ppid| Process {
            pid,
            ppid,
            name,
            command,
            threads: &[(2, "2-3")],
            ..PLACED
        };
        tree.process(&daemon(50, 1));
        tree.trainer(&Process { ppid: 50, ..PLACED });
        tree.process(&daemon(110, 100));
        let field = processes(&tree);
        assert_eq!(field(50, "role"), "launcher", "{name}");
        assert_eq!(field(110, "role"), "helper", "{name}");
        assert_eq!(field(110, "verdict"), Value::Null, "{name}");
    }
}

/// The user names Ray's actors.
#[test]
fn an_actor_is_not_rays_idle_worker() {
    for (title, role) in [
        ("ray::IDLE2", "worker"),
        ("ray::IDLE.run", "worker"),
        ("ray::IDLE", "helper"),
    ] {
        let mut tree = Tree::new();
        tree.trainer(&PLACED);
        tree.process(&Process {
            pid: 110,
            ppid: 100,
            name: title,
            command: &format!("{title}\0"),
            ..PLACED
        });
        assert_eq!(processes(&tree)(110, "role"), role, "{title}");
    }
}

/// Ray starts the actors of all jobs from one raylet.
#[test]
fn actors_of_one_job_of_ray_are_one_job() {
    for (others_job, is_one) in [("0100", true), ("0200", false)] {
        let tree = two_ranks("/opt/ray/raylet\0", ["0-1", "0-1"]);
        tree.variables(100, &["RAY_JOB_ID=0100"]);
        tree.variables(200, &[&format!("RAY_JOB_ID={others_job}")]);
        let field = processes(&tree);
        assert_eq!(field(50, "role"), "helper");
        assert_eq!(field(100, "job_group").is_number(), is_one, "{others_job}");
    }
}

/// DeepSpeed deals CPUs in the order of ranks, wherever their GPUs are.
#[test]
fn a_share_by_rank_is_a_binding() {
    const RULE: &str = "binding-not-in-effect";
    let dealt = "deepspeed\0--bind_cores_to_rank\0train.py\0";
    silent(&two_ranks(dealt, ["0-1", "2-3"]), RULE);
    silent(&two_ranks(dealt, ["2", "0-1"]), RULE);
    silent(&two_ranks(dealt, ["0-2", "3"]), RULE);
    let found = told(&two_ranks(dealt, ["0-3", "0-3"]), RULE);
    assert!(found.contains("requests a share, but"), "{found}");
    let list = "deepspeed\0--bind_cores_to_rank\0--bind_core_list\0\x30-1\0train.py\0";
    silent(&two_ranks(list, ["0", "1"]), RULE);
    let found = told(&two_ranks(list, ["0", "2"]), RULE);
    assert!(found.contains("a share of CPUs 0-1"), "{found}");
}

#[test]
fn a_node_for_each_rank_is_one_of_the_list() {
    const RULE: &str = "binding-not-in-effect";
    let sglang = "python3\0-m\0sglang.launch_server\0--numa-node\0\x31\0\x30\0";
    silent(&two_ranks(sglang, ["2-3", "0-1"]), RULE);
    let found = told(&two_ranks(sglang, ["0-3", "2-3"]), RULE);
    assert!(found.contains("requests one of nodes 0-1"), "{found}");
    let vllm = "vllm\0serve\0m\0--numa-bind\0--numa-bind-nodes\0\x30\0\x30\0";
    let found = told(&two_ranks(vllm, ["0-1", "0-3"]), RULE);
    assert!(found.contains("trainer 200"), "{found}");
    let without = told(
        &two_ranks(
            "accelerate\0launch\0--enable_cpu_affinity\0t\0",
            ["0-3", "2-3"],
        ),
        RULE,
    );
    assert!(!without.contains("numactl program"), "{without}");
}

/// The variables that make OpenMP bind threads are facts of the report.
#[test]
fn variables_of_openmp_are_in_the_report() {
    let mut tree = Tree::new();
    tree.trainer(&PLACED);
    let hostile = format!("OMP_PLACES={}", "{0}".repeat(4000));
    tree.variables(
        100,
        &[
            "KMP_AFFINITY=granularity=fine,compact,1,0",
            hostile.as_str(),
        ],
    );
    assert_eq!(
        processes(&tree)(100, "openmp_binding"),
        json!({"KMP_AFFINITY": "granularity=fine,compact,1,0"})
    );
    tree.variables(100, &["OMP_PROC_BIND=false", "OMP_PLACES=cores"]);
    assert_eq!(processes(&tree)(100, "openmp_binding"), Value::Null);
}

/// A recording, with names or without, has the facts of a live audit.
#[test]
fn a_recording_keeps_ranks_jobs_and_bindings() {
    let mut sleeper = std::process::Command::new("sleep");
    let variables = [
        ("SLURM_PROCID", "9"),
        ("SLURM_LOCALID", "1"),
        ("PBS_JOBID", "12.ann-server"),
        ("KMP_AFFINITY", "compact"),
        ("SECRET", "hunter2"),
    ];
    let mut sleeper = sleeper
        .arg("60")
        .env_clear()
        .envs(variables)
        .spawn()
        .unwrap();
    let pid = sleeper.id().to_string();
    let place = tempfile::tempdir().unwrap();
    // The program may not have been started yet.
    let has_started = || {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.starts_with(b"SLURM") || environ.windows(6).any(|word| word == b"SECRET")
    };
    while !has_started() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for (name, more, job) in [
        ("whole", None, "12.ann-server"),
        ("redacted", Some("--redact"), "12"),
    ] {
        let path = place.path().join(name);
        let mut record = program();
        record
            .arg("record")
            .arg(&path)
            .args(["--pid", &pid])
            .args(more);
        assert!(record.output().unwrap().status.success());
        let document = run(["--json", "--snapshot", path.to_str().unwrap()]).json();
        let process = &document["processes"][0];
        assert_eq!(process["rank"], 9, "{process}");
        assert_eq!(process["local_rank_source"], "SLURM_LOCALID");
        assert_eq!(process["scheduler_jobs"][0]["id"], job);
        assert_eq!(process["openmp_binding"]["KMP_AFFINITY"], "compact");
        let environ = std::fs::read(path.join(format!("proc/{pid}/environ"))).unwrap();
        assert!(!environ.windows(7).any(|bytes| bytes == b"hunter2"));
    }
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}
