//! Fixes in the words of what started the job, and one finding for one cause.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree};
use crate::program::finding;

const ALL: &str = "0-3";

/// Two ranks below a process with this name and command line. GPU N is attached to node N; both ranks ran on node 0.
fn two_ranks(name: &str, command: &str, variables: fn(u32) -> Vec<String>) -> Tree {
    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 50,
        name,
        command,
        threads: &[(0, ALL)],
        ..PLACED
    });
    for rank in 0..2 {
        let pid = 100 * (rank + 1);
        tree.process(&Process {
            pid,
            ppid: 50,
            threads: &[(0, ALL)],
            ..PLACED
        });
        tree.listed(rank as usize, pid, "compute", 1 << 30);
        let variables = variables(rank);
        let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
        tree.variables(pid, &variables);
    }
    tree
}

#[track_caller]
fn fix(tree: &Tree) -> String {
    let document = tree.audit(&["--json"]).json();
    let remote = finding(&document, "cpu-remote");
    remote["remedy"].as_str().unwrap().to_owned()
}

#[test]
fn a_fix_is_in_the_words_of_the_launcher() {
    fn none(_: u32) -> Vec<String> {
        Vec::new()
    }
    fn ranks(names: [&str; 2], rank: u32) -> Vec<String> {
        names.map(|name| format!("{name}={rank}")).into()
    }
    type Variables = fn(u32) -> Vec<String>;
    let rows: [(&str, &str, Variables, &str); 9] = [
        (
            "pt_elastic",
            "python3\0/bin/torchrun\0t.py\0",
            none,
            "torchrun --numa-binding=node",
        ),
        (
            "accelerate",
            "python3\0/bin/accelerate\0launch\0",
            none,
            "--enable_cpu_affinity",
        ),
        (
            "python3",
            "python3\0-m\0deepspeed.launcher.launch\0",
            none,
            "--bind_core_list",
        ),
        ("vllm", "python3\0/bin/vllm\0serve\0", none, "--numa-bind"),
        ("raylet", "/opt/ray/raylet\0", none, "os.sched_setaffinity"),
        (
            "mpirun",
            "mpirun\0-n\0two\0t\0",
            |rank| ranks(["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK"], rank),
            "--map-by ppr:N:numa --bind-to numa",
        ),
        (
            "mpiexec.hydra",
            "mpiexec.hydra\0t\0",
            |rank| ranks(["PMI_RANK", "MPI_LOCALRANKID"], rank),
            "-bind-to numa -map-by numa",
        ),
        (
            "slurmstepd",
            "slurmstepd: [9.0]\0",
            |rank| ranks(["SLURM_PROCID", "SLURM_LOCALID"], rank),
            "srun --cpu-bind=map_ldom:0,1 --mem-bind=local",
        ),
        (
            "flux-shell",
            "flux-shell\0job\0",
            |rank| ranks(["FLUX_TASK_RANK", "FLUX_TASK_LOCAL_ID"], rank),
            "flux run -o cpu-affinity=per-task",
        ),
    ];
    for (name, command, variables, words) in rows {
        let tree = two_ranks(name, command, variables);
        if name == "slurmstepd" {
            for pid in [100, 200] {
                tree.file(
                    &format!("proc/{pid}/cgroup"),
                    "0::/system.slice/slurmstepd.scope/job_9/step_0/user/task_0\n",
                );
            }
        }
        let fix = fix(&tree);
        assert!(fix.contains(words), "{name}: {fix}");
        assert!(!fix.contains("numactl"), "{name}: {fix}");
    }
}

/// numactl before a launcher binds all ranks to one node.
#[test]
fn the_generic_line_warns_of_launchers() {
    let tree = two_ranks("python3", "python3\0start.py\0", |_| Vec::new());
    let fix = fix(&tree);
    assert!(
        fix.contains("a launcher would pass the binding on"),
        "{fix}"
    );
}

#[test]
fn the_variable_that_binds_is_named_where_it_is_set() {
    for (variable, is_named) in [
        ("KMP_AFFINITY=granularity=fine,compact,1,0", true),
        ("GOMP_CPU_AFFINITY=0", true),
        ("OMP_PROC_BIND=close", true),
        ("OMP_PROC_BIND=false", false),
        ("KMP_AFFINITY=disabled", false),
    ] {
        let mut tree = Tree::new();
        tree.trainer(&Process {
            threads: &[(2, "2")],
            ..PLACED
        });
        tree.variables(100, &[variable]);
        let (name, _) = variable.split_once('=').unwrap();
        let fix = fix(&tree);
        let unset = format!("unset {name} in the environment of the job");
        assert_eq!(fix.starts_with(&unset), is_named, "{variable}: {fix}");
    }
    // A mask of all CPUs of a node is not the work of an OpenMP runtime.
    let mut tree = Tree::new();
    tree.trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.variables(100, &["OMP_PROC_BIND=close"]);
    assert!(!fix(&tree).contains("OMP_PROC_BIND"));
}

/// Eight nodes with a GPU each; the job's ranks are bound in reverse order.
fn reversed() -> Value {
    let lists: Vec<String> = (0..8).map(|n| format!("{}-{}", 2 * n, 2 * n + 1)).collect();
    let nodes: Vec<(&str, u32)> = (0..)
        .zip(&lists)
        .map(|(n, cpus)| (cpus.as_str(), n))
        .collect();
    let mut tree = Tree::new();
    tree.nodes(&nodes);
    for gpu in 1..8 {
        tree.gpu(&format!("0000:{}0:1C.0", gpu + 1), &format!("{gpu}\n"));
    }
    tree.process(&Process {
        pid: 50,
        name: "pt_elastic",
        command: "python3\0/bin/torchrun\0t.py\0",
        threads: &[(0, "0-15")],
        ..PLACED
    });
    for rank in 0..8_u32 {
        let node = 7 - rank;
        let pages = format!("7f0000000000 default anon=25600 N{node}=25600 kernelpagesize_kB=4\n");
        let pid = 100 + rank;
        tree.process(&Process {
            pid,
            ppid: 50,
            threads: &[(2 * node, &lists[node as usize])],
            numa_maps: Some(&pages),
            ..PLACED
        });
        tree.file(
            &format!("proc/{pid}/status"),
            &format!(
                "Uid:\t7\t7\t7\t7\nCpus_allowed_list:\t{}\nMems_allowed_list:\t0-7\n",
                lists[node as usize]
            ),
        );
        tree.listed(rank as usize, pid, "compute", 1 << 30);
    }
    tree.audit(&["--json"]).json()
}

#[test]
fn gpus_in_reverse_order_are_one_finding_a_rule() {
    let document = reversed();
    let findings = document["findings"].as_array().unwrap();
    let rules: Vec<&Value> = findings.iter().map(|finding| &finding["rule"]).collect();
    assert_eq!(rules, ["cpu-remote", "memory-remote"]);
    for finding in findings {
        assert_eq!(
            finding["pids"],
            json!([100, 101, 102, 103, 104, 105, 106, 107])
        );
    }
    let message = findings[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with(
            "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 is bound to node 7 (by CPU \
             affinity); GPU 1 is attached to node 1, but trainer 101 is bound to node 6"
        ),
        "{message}"
    );
    assert!(
        message.ends_with("; the same applies to 4 trainers of GPUs 4-7 on nodes 4-7"),
        "{message}"
    );
}

/// What rebinds workers is another cause than what leaves ranks unbound.
#[test]
fn workers_that_were_bound_anew_are_a_finding_of_their_own() {
    let tree = two_ranks("pt_elastic", "python3\0/bin/torchrun\0t.py\0", |_| {
        Vec::new()
    });
    tree.process(&Process { ppid: 50, ..PLACED });
    tree.process(&Process {
        pid: 110,
        ppid: 100,
        name: "pt_data_worker",
        threads: &[(2, "2-3")],
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    let findings = document["findings"].as_array().unwrap();
    let remote = findings.iter().filter(|of| of["rule"] == "cpu-remote");
    let pids: Vec<&Value> = remote.map(|of| &of["pids"]).collect();
    assert_eq!(pids, [&json!([110]), &json!([200])]);
}
