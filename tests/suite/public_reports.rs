//! Public bug reports about tools that bind, each on the smallest machine that shows it, each found by one line of output.
//!
//! What happened is from the projects' issues; the machines are made up.

use snapbox::{assert_data_eq, str};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::rules::{Rank, job, two_ranks};

/// The line that reports it; there must be only one of this rule.
#[track_caller]
fn line(tree: &Tree, mark: &str) -> String {
    let mut command = tree.command(&[]);
    tree.audit(&[]);
    let output = command.env("COLUMNS", "400").output().unwrap();
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with(mark))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{mark}: {lines:#?} in\n{table}");
    };
    (*line).to_owned()
}

/// pytorch #166026: children were to inherit the binding. With start_method="forkserver" the fork server started
/// while the first rank was bound, and every rank got the binding of the first.
#[test]
fn after_forkserver_all_ranks_are_on_one_node() {
    let tree = job("python3\0launch.py\0", |rank| Rank {
        cpus: "0-23,48-71",
        node: 0,
        workers: 0,
        ..Rank::right(rank)
    });
    assert_data_eq!(
        line(&tree, "error[ranks-on-one-node]"),
        str![
            "error[ranks-on-one-node]: 8 trainers of one job are all bound to node 0, but their GPUs are attached to nodes 0-1"
        ]
    );
}

/// vllm #55416: `--numa-bind` where the numactl program is not installed: no binding, and no message in the log.
#[test]
fn numa_bind_without_numactl_has_no_effect() {
    let tree = two_ranks("vllm\0serve\0model\0--numa-bind\0", ["0-3", "2-3"]);
    assert_data_eq!(
        line(&tree, "error[binding-not-in-effect]"),
        str![
            "error[binding-not-in-effect]: --numa-bind requests a binding, but trainer 100 may run on nodes 0-1 (GPU 0 is attached to node 0)"
        ]
    );
}

/// sglang #22989: schedulers that Ray starts skip the code that puts numactl before a process.
#[test]
fn a_start_method_skips_the_binding() {
    let mut tree = Tree::new();
    tree.trainer(&Process {
        name: "sglang::schedul",
        command: "sglang::scheduler_TP0\0",
        threads: &[(0, "0-3")],
        ..PLACED
    });
    tree.variables(100, &["SGLANG_AUTO_NUMA_BIND=1"]);
    assert_data_eq!(
        line(&tree, "error[binding-not-in-effect]"),
        str![
            "error[binding-not-in-effect]: SGLANG_AUTO_NUMA_BIND requests a binding, but trainer 100 may run on nodes 0-1 (GPU 0 is attached to node 0)"
        ]
    );
}

/// TensorRT-LLM #18701: sched_setaffinity on the process binds its main thread only; threads that MPI and imports had started
/// before are not bound. This is a warning: the thread that launches kernels is bound.
#[test]
fn only_the_main_thread_is_bound() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1"), (2, "0-3"), (3, "0-3"), (2, "0-3")],
        ..PLACED
    });
    let line = line(&tree, "warning[threads-astray]");
    assert!(
        line.contains("trainer 100") && line.contains("3 of 4 threads"),
        "{line}"
    );
}

/// cosmos-predict1 #11 and accelerate #2535 bind to what NVML calls a GPU's ideal CPUs. Where the driver does not know these
/// (virtual machines, containers) it names all of them.
#[test]
fn the_drivers_affinity_spans_all_nodes() {
    let mut tree = Tree::new();
    tree.trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    tree.affinity = [Some("0-3"), None];
    tree.variables(100, &["ACCELERATE_CPU_AFFINITY=1"]);
    assert_data_eq!(
        line(&tree, "error[binding-not-in-effect]"),
        str![
            "error[binding-not-in-effect]: ACCELERATE_CPU_AFFINITY requests a binding, but trainer 100 may run on nodes 0-1 (GPU 0 is attached to node 0)"
        ]
    );
}

/// A Grace machine of two sockets: the memory of each GPU is a node without CPUs.
fn grace() -> Tree {
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 1), ("", 0), ("", 1)]);
    tree.gpu("0000:90:1C.0", "1\n");
    for (address, node) in [("0000:10:1c.0", 2), ("0000:90:1c.0", 3)] {
        tree.file(
            &format!("proc/driver/nvidia/gpus/{address}/numa_status"),
            &format!("Node:\t{node}\nStatus:\tonline\n"),
        );
    }
    tree
}

/// vllm #39361: nvmlDeviceGetNumaNodeId answers with the GPU's memory node, and `numactl --cpunodebind` cannot bind to a node
/// without CPUs. A tool that gives up at this failure binds nothing.
#[test]
fn the_gpus_memory_node_is_taken_for_a_node_with_cpus() {
    let mut tree = grace();
    tree.process(&Process {
        pid: 50,
        command: "vllm\0serve\0model\0--numa-bind\0",
        ..PLACED
    });
    tree.process(&Process {
        ppid: 50,
        threads: &[(2, "0-3")],
        ..PLACED
    });
    tree.listed(1, 100, "compute", 1 << 30);
    assert_data_eq!(
        line(&tree, "error[binding-not-in-effect]"),
        str![
            "error[binding-not-in-effect]: --numa-bind requests a binding, but trainer 100 may run on nodes 0-1 (GPU 1 is attached to node 1)"
        ]
    );
}

/// The memory of its own GPU is as local as memory can be.
#[test]
fn host_memory_is_bound_to_the_gpus_memory_node() {
    let mut tree = grace();
    tree.trainer(&Process {
        numa_maps: Some("7f0000000000 bind:2 anon=25600 N2=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    tree.judges("ok", "ok", 0);
}

/// bytedance/xpu-perf #129 and mlperf-common #16 counted such nodes as if they had CPUs: rank 1 of 2 on four nodes got
/// node 2, which is GPU 0's memory.
#[test]
fn nodes_without_cpus_are_counted() {
    let mut tree = grace();
    tree.process(&Process {
        threads: &[(2, "2-3")],
        numa_maps: Some("7f0000000000 prefer:2 anon=25600 N2=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    tree.listed(1, 100, "compute", 1 << 30);
    assert_data_eq!(
        line(&tree, "error[policy-remote]"),
        str![
            "error[policy-remote]: GPU 1 is attached to node 1, but trainer 100 has the memory policy prefer for node 2, which is memory of GPU 0 itself and has no CPUs"
        ]
    );
    assert_data_eq!(
        line(&tree, "error[memory-remote]"),
        str![
            "error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 1 is attached to node 1, but trainer 100 has 100% of its working memory on node 2 (100 MiB: anonymous 100 MiB)"
        ]
    );
}

/// sglang #6549 (its review): processes are forked before they are bound, and pages touched before the binding do not
/// move.
#[test]
fn pages_touched_before_the_binding_are_remote() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default anon=25600 N0=2560 N1=23040 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    assert_data_eq!(
        line(&tree, "error[memory-remote]"),
        str![
            "error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 has 90% of its working memory on node 1 (90 MiB: anonymous 90 MiB)"
        ]
    );
}

/// pytorch #160420 and #197868: the cache of pinned memory reuses blocks that were freed on another node, regardless of the
/// binding of the loader.
#[test]
fn reused_pinned_blocks_are_remote() {
    let tree = with_trainer(&Process {
        numa_maps: Some(
            "7f0000000000 bind:0 anon=25600 N0=25600 kernelpagesize_kB=4\n\
             7f2000000000 default file=/dev/zero\\040(deleted) dirty=196608 N1=196608 kernelpagesize_kB=4\n",
        ),
        ..PLACED
    });
    assert_data_eq!(
        line(&tree, "error[pinned-remote]"),
        str![
            "error[pinned-remote]: GPU 0 is attached to node 0, but trainer 100 has 768 MiB of pinned memory on node 1: every batch crosses the interconnect, and pinned pages cannot migrate"
        ]
    );
}

/// tensorflow #42738 and #53184, and PyTorch's binding: numa_node is -1, which means unknown, and is taken for 0.
#[test]
fn minus_one_is_taken_for_node_zero() {
    let command = "python3\0/usr/bin/torchrun\0--numa-binding=node\0train.py\0";
    let mut tree = two_ranks(command, ["0-1", "2-3"]);
    tree.numa_node("-1\n");
    tree.affinity = [None, Some("1")];
    assert_data_eq!(
        line(&tree, "error[binding-not-in-effect]"),
        str![
            "error[binding-not-in-effect]: --numa-binding requests a binding, but trainer 100 is bound to node 0 (GPU 0 is attached to node 1)"
        ]
    );
    assert_data_eq!(
        line(&tree, "error[cpu-remote]"),
        str![
            "error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 1, but trainer 100 is bound to node 0 (by CPU affinity)"
        ]
    );
    // Where no source knows the node, that is reported.
    tree.affinity = [None, None];
    assert_data_eq!(
        line(&tree, "warning[gpu-node-unknown]"),
        str![
            "warning[gpu-node-unknown]: the home node of GPU 0 is unknown: binding tools may use node 0 instead"
        ]
    );
}

/// TensorRT-LLM #12985 and sglang #24766: CUDA's first GPU under CUDA_VISIBLE_DEVICES=4,0 is the driver's fifth, and the
/// driver was asked about its first.
#[test]
fn the_cuda_index_is_taken_for_the_nvml_index() {
    let mut tree = crate::rules::p4d();
    tree.process(&Process {
        threads: &[(0, "0-23,48-71")],
        ..PLACED
    });
    tree.listed(4, 100, "compute", 1 << 30);
    tree.variables(
        100,
        &[
            "CUDA_VISIBLE_DEVICES=4,0",
            "TLLM_NUMA_AWARE_WORKER_AFFINITY=1",
        ],
    );
    assert_data_eq!(
        line(&tree, "error[binding-not-in-effect]"),
        str![
            "error[binding-not-in-effect]: TLLM_NUMA_AWARE_WORKER_AFFINITY requests a binding, but trainer 100 is bound to node 0 (GPU 4 is attached to node 1), as if CUDA_VISIBLE_DEVICES was not set"
        ]
    );
    // Without the variable the two numberings are the same.
    tree.variables(100, &["TLLM_NUMA_AWARE_WORKER_AFFINITY=1"]);
    assert_data_eq!(
        line(&tree, "error[binding-not-in-effect]"),
        str![
            "error[binding-not-in-effect]: TLLM_NUMA_AWARE_WORKER_AFFINITY requests a binding, but trainer 100 is bound to node 0 (GPU 4 is attached to node 1)"
        ]
    );
}

/// pytorch #91989: with OMP_PROC_BIND or KMP_AFFINITY set, `import torch` leaves the main thread one CPU, and the workers
/// that it forks inherit that.
#[test]
fn after_an_import_all_processes_share_one_cpu() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0")],
        ..PLACED
    });
    for pid in [110, 120, 130] {
        tree.process(&Process {
            pid,
            ppid: 100,
            name: "pt_data_worker",
            threads: &[(0, "0")],
            ..PLACED
        });
    }
    assert_data_eq!(
        line(&tree, "warning[cpus-crowded]"),
        str!["warning[cpus-crowded]: trainer 100 and 3 workers share only one CPU (CPU 0)"]
    );
}

/// pytorch #135279: init_process_group without set_device gives every rank a context on GPU 0.
#[test]
fn every_rank_has_a_context_on_gpu_zero() {
    let mut tree = job("python3\0launch.py\0", |rank| Rank {
        workers: 0,
        ..Rank::right(rank)
    });
    for rank in 1..8 {
        tree.listed(0, 1000 * (rank + 1), "compute", 1 << 30);
    }
    assert_data_eq!(
        line(&tree, "warning[stray-context]"),
        str![
            "warning[stray-context]: 7 trainers have a context on GPU 0, which belongs to trainer 1000 of the same job, besides their own GPUs 1-7"
        ]
    );
}

/// sglang #27368, its first case: the container's cpuset has no memory on the GPU's node, and `numactl --membind` fails.
#[test]
fn a_containers_cpuset_excludes_the_gpus_node() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.confine(100, &format!("/docker/{}", "a1".repeat(32)), "2-3", "1");
    assert_data_eq!(
        line(&tree, "error[cpuset-excludes-gpu]"),
        str![
            "error[cpuset-excludes-gpu]: GPU 0 is attached to node 0, but the cpuset of trainer 100 allows only CPUs of node 1"
        ]
    );
}
