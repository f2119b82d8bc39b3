//! Machines on which nothing is wrong: nothing may be reported.

use serde_json::Value;

use super::{ALL, NODES, Rank, job, p4d};
use crate::machine::{PLACED, Process, Tree};

const TORCHRUN: &str = "python3\0/usr/bin/torchrun\0--numa-binding=node\0train.py\0";

/// Asserts that there are only findings of severity info.
#[track_caller]
fn nothing_wrong(tree: &Tree) {
    let run = tree.audit(&["--json"]);
    let document = run.json();
    let findings = document["findings"].as_array().unwrap().iter();
    let wrong: Vec<&Value> = findings
        .filter(|finding| finding["severity"] != "info")
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(run.code, Some(0));
    assert_eq!(tree.audit(&["--fail-on", "at-risk"]).code, Some(0));
}

/// Asserts that there is no error; returns the warnings' rules.
#[track_caller]
fn no_error(tree: &Tree) -> Vec<String> {
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(0));
    let document = run.json();
    let findings = document["findings"].as_array().unwrap().iter();
    let rules = findings.filter(|finding| finding["severity"] != "info");
    rules
        .map(|finding| finding["rule"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn torchrun_with_bound_ranks_and_workers() {
    nothing_wrong(&job(TORCHRUN, Rank::right));
}

/// More data loaders than CPUs, which is common: an info, not a warning.
#[test]
fn more_data_loaders_than_cpus() {
    let tree = job(TORCHRUN, |rank| Rank {
        workers: 16,
        ..Rank::right(rank)
    });
    nothing_wrong(&tree);
    let table = tree.audit(&[]).stdout;
    assert!(
        table.contains("info[node-crowded]: 4 trainers and 64 workers"),
        "{table}"
    );
}

/// DeepSpeed and torchrun's `exclusive` divide the node's CPUs among the ranks.
#[test]
fn each_rank_has_cpus_of_its_own() {
    let shares = ["0-5,48-53", "6-11,54-59", "12-17,60-65", "18-23,66-71"];
    let others = ["24-29,72-77", "30-35,78-83", "36-41,84-89", "42-47,90-95"];
    let tree = job("deepspeed\0--bind_cores_to_rank\0train.py\0", |rank| {
        let cpus = [shares, others].concat()[rank];
        Rank {
            cpus,
            worker_cpus: cpus,
            ..Rank::right(rank)
        }
    });
    nothing_wrong(&tree);
}

/// Slurm with --cpus-per-task=12 and --gres-flags=enforce-binding: as many workers as CPUs.
#[test]
fn slurm_gives_each_task_its_cpus() {
    let shares = ["0-5,48-53", "6-11,54-59", "12-17,60-65", "18-23,66-71"];
    let others = ["24-29,72-77", "30-35,78-83", "36-41,84-89", "42-47,90-95"];
    let cpus = |rank: usize| [shares, others].concat()[rank];
    let tree = job("srun\0--cpu-bind=cores\0python3\0train.py\0", |rank| Rank {
        cpus: cpus(rank),
        worker_cpus: cpus(rank),
        ..Rank::right(rank)
    });
    for rank in 0..8 {
        for pid in 0..=12 {
            let pid = 1000 * (rank as u32 + 1) + pid;
            tree.confine(pid, "/slurm/uid_7/job_42/step_0", ALL, "0-1");
        }
    }
    nothing_wrong(&tree);
}

/// A container with one node's CPUs and a GPU of that node.
#[test]
fn a_container_with_one_nodes_cpus() {
    let mut tree = p4d();
    tree.trainer(&Process {
        threads: &[(0, "0-7")],
        ..PLACED
    });
    let group = format!("/docker/{}", "a1".repeat(32));
    tree.confine(100, &group, "0-7", "0");
    nothing_wrong(&tree);
}

/// vLLM's server has no GPU, and its workers are bound as requested.
#[test]
fn a_server_without_a_gpu() {
    let tree = job("vllm\0serve\0model\0--numa-bind\0", |rank| Rank {
        workers: 0,
        policy: if rank < 4 { "bind:0" } else { "bind:1" },
        ..Rank::right(rank)
    });
    nothing_wrong(&tree);
}

/// A process on GPUs of both nodes may be on either, and so may its workers: which GPU gets a sample is unknown.
#[test]
fn one_process_on_eight_gpus() {
    let mut tree = p4d();
    tree.trainer(&Process {
        command: "python3\0-m\0sglang.launch_server\0--numa-node\0\x30\0",
        threads: &[(0, ALL), (30, NODES[1]), (1, NODES[0])],
        numa_maps: Some("7f0000000000 interleave:0-1 anon=25600 N0=12800 N1=12800 kernelpagesize_kB=4\n\
                         7f2000000000 default file=/dev/zero\\040(deleted) dirty=7680 N1=7680 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    for gpu in 1..8 {
        tree.listed(gpu, 100, "compute", 1 << 30);
    }
    tree.process(&Process {
        pid: 150,
        ppid: 100,
        name: "pt_data_worker",
        threads: &[(30, ALL)],
        ..PLACED
    });
    nothing_wrong(&tree);
}

/// NCCL binds its own threads to some CPUs of the GPU's node: this is harmless.
#[test]
fn threads_bound_to_single_cpus() {
    let mut tree = p4d();
    tree.trainer(&Process {
        threads: &[(0, NODES[0]), (3, "3"), (5, "0-11")],
        ..PLACED
    });
    nothing_wrong(&tree);
}

/// An unbound job that is on the right nodes by chance: only a warning.
#[test]
fn a_job_without_any_binding_has_no_error() {
    let tree = job("python3\0/usr/bin/torchrun\0train.py\0", |rank| Rank {
        cpus: ALL,
        worker_cpus: ALL,
        ..Rank::right(rank)
    });
    assert_eq!(no_error(&tree), ["cpu-unbound"]);
}

/// Each node is half a socket: a process bound to the socket may leave the GPU's node, but nothing crosses sockets.
#[test]
fn bound_to_the_socket() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-3", 0), ("4-7", 0), ("8-11", 1), ("12-15", 1)]);
    tree.trainer(&Process {
        command: "torchrun\0--numa-binding=socket\0train.py\0",
        threads: &[(0, "0-7")],
        ..PLACED
    });
    tree.process(&Process {
        pid: 150,
        ppid: 100,
        name: "pt_data_worker",
        threads: &[(5, "0-7")],
        ..PLACED
    });
    assert_eq!(no_error(&tree), ["cpu-near", "cpu-unbound"]);
}

/// Servers of two users under one shell: they are not one job.
#[test]
fn two_servers_that_share_a_gpu() {
    let mut tree = p4d();
    for pid in [100, 200] {
        tree.trainer(&Process { pid, ..PLACED });
    }
    tree.listed(1, 200, "compute", 1 << 30);
    nothing_wrong(&tree);
}
