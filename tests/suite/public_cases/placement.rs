//! Verdicts and targets.

use serde_json::json;

use crate::public_cases::made_up::{
    GIB, Made, MadeUp, NodeShape, anon, near_or_21, pinned, two_sockets,
};

/// Eight GPUs on two sockets of 48 CPUs, as AWS's p4d has them.
pub fn p4d() -> MadeUp {
    let nodes = [
        ("0-23,48-71".to_owned(), 0, 560),
        ("24-47,72-95".to_owned(), 1, 560),
    ];
    let mut made = MadeUp::new(&nodes, near_or_21);
    for (at, bus) in (0..).zip([
        "10:1c", "10:1d", "20:1c", "20:1d", "90:1c", "90:1d", "a0:1c", "a0:1d",
    ]) {
        made.gpu(&format!("0000:{bus}.0"), at / 4, "NVIDIA A100-SXM4-40GB");
    }
    made
}

/// An EPYC of eight nodes with memory on two of them.
#[test]

fn memory_on_two_of_eight_nodes() {
    let cpus = |node: u32| {
        let (low, high) = (8 * node, 64 + 8 * node);
        format!("{low}-{},{high}-{}", low + 7, high + 7)
    };
    let memory = |node| if node == 1 || node == 5 { 125 } else { 0 };
    let nodes: Vec<NodeShape> = (0..8).map(|at| (cpus(at), at / 4, memory(at))).collect();
    let mut made = MadeUp::new(&nodes, |a, b| match (a == b, a / 4 == b / 4) {
        (true, _) => 10,
        (_, true) => 12,
        _ => 32,
    });
    made.gpu("0000:c1:00.0", 6, "NVIDIA RTX 5880 Ada Generation");
    for (pid, node) in [(100, 5), (200, 1)] {
        made.process(&Made {
            pid,
            last: 49,
            threads: 2,
            cpus: "48-55,112-119",
            maps: anon(&[(node, 400)], "default"),
            mems: Some("1,5"),
            ..Made::default()
        });
        made.uses(0, pid);
    }
    let seen = made.audit(&[]);
    assert_eq!((seen.code, seen.home(0)), (1, &json!([6])));
    assert_eq!((seen.cpu(100), seen.cpu(200)), ("ok", "ok"));
    assert_eq!((seen.memory(100), seen.memory(200)), ("ok", "mismatch"));
    assert!(seen.has("memory-remote", &[200]) && !seen.has("memory-remote", &[100]));
    assert!(!seen.has("memory-near", &[100]));
    seen.says(&["migratepages 200 1 5\n"]);
    seen.says_not(&["membind=6", "migratepages 200 1 6"]);
}

/// The scheduler does not spread threads over isolated CPUs.
#[test]

fn isolated_cpus_in_a_cpuset() {
    let mut made = MadeUp::new(&two_sockets(8, 60), near_or_21);
    made.file("sys/devices/system/cpu/isolated", "4-7\n");
    made.gpu("0000:03:00.0", 0, "GeForce GTX 1080");
    let group = format!("/docker/{}", "ab".repeat(32));
    for (name, text) in [("cpus", "4-7"), ("mems", "0-1")] {
        for file in [format!("cpuset.{name}"), format!("cpuset.effective_{name}")] {
            let file = format!("sys/fs/cgroup/cpuset{group}/{file}");
            made.file(&file, &format!("{text}\n"));
        }
    }
    let of = |pid, ppid, threads, mib| Made {
        pid,
        ppid,
        last: 4,
        threads,
        cpus: "4-7",
        maps: anon(&[(0, mib)], "default"),
        cgroup: format!("7:cpuset:{group}\n1:name=systemd:{group}\n"),
        ..Made::default()
    };
    made.process(&of(100, 1, 9, 300));
    made.uses(0, 100);
    for worker in 0..4 {
        made.process(&of(110 + 10 * worker, 100, 2, 100));
    }
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 0);
    assert!(["ok", "at-risk"].contains(&seen.cpu(100)));
    seen.says(&["isolated", "isolcpus"]);
}

#[test]

fn a_gpu_on_a_node_that_does_not_exist() {
    let mut made = MadeUp::new(&two_sockets(8, 60), near_or_21);
    made.gpu("0000:b1:00.0", 6, "NVIDIA A100-PCIE-40GB");
    made.process(&Made {
        last: 9,
        threads: 2,
        cpus: "8-15",
        maps: anon(&[(1, 300)], "default"),
        ..Made::default()
    });
    made.uses(0, 100);
    let seen = made.audit(&[]);
    assert_eq!((seen.code, seen.verdict(100)), (3, "unknown"));
    assert!(seen.has("gpu-node-unknown", &[]));
    assert!(!seen.has("cpu-remote", &[]) && !seen.has("memory-remote", &[]));
    seen.says(&[
        "node 6, which does not exist",
        "node 6 does not exist",
        "no node 6",
        "node 6 that does not exist",
    ]);
}

/// The driver names a process that has ended.
#[test]

fn gpu_memory_of_a_process_that_has_ended() {
    let mut made = MadeUp::new(&two_sockets(16, 60), near_or_21);
    made.gpu("0000:81:00.0", 1, "NVIDIA A100 80GB PCIe");
    made.gpus[0]["memory_used_bytes"] = json!(10_151_u64 << 20);
    made.process(&Made {
        pid: 1,
        ppid: 0,
        name: "systemd",
        command: "/sbin/init",
        cpus: "0-31",
        ..Made::default()
    });
    made.uses(0, 4711);
    let seen = made.audit(&[]);
    assert_eq!(seen.code, 3);
    let mut lines = seen.text.lines();
    assert!(
        lines.any(|line| line.contains("GPU 0") && line.contains("4711")),
        "{}",
        seen.text
    );
    assert!(!seen.table.contains(": no process\n"), "{}", seen.table);
}

/// GB10 reports neither its memory nor, in a container, its processes.
#[test]

fn unified_memory_in_a_container() {
    let mut made = MadeUp::new(&[("0-19".to_owned(), 0, 119)], near_or_21);
    made.gpu("000f:01:00.0", -1, "NVIDIA GB10");
    for figure in ["memory_total_bytes", "memory_used_bytes"] {
        made.gpus[0][figure] = json!(null);
    }
    made.process(&Made {
        pid: 1,
        ppid: 0,
        name: "bash",
        command: "bash",
        cpus: "0-19",
        maps: anon(&[(0, 4)], "default"),
        ..Made::default()
    });
    assert_eq!(made.audit(&[]).code, 3);
}

/// Bound to a node that is full: the rest of its memory is in swap.
#[test]

fn bound_memory_in_swap() {
    let cpus = |node: u32| format!("{}-{}", 6 * node, 6 * node + 5);
    let nodes: Vec<NodeShape> = (0..8).map(|node| (cpus(node), node / 2, 32)).collect();
    let mut made = MadeUp::new(&nodes, |a, b| match (a == b, a / 2 == b / 2) {
        (true, _) => 10,
        (_, true) => 16,
        _ => 22,
    });
    made.memory(0, 32 << 20, 65_536);
    made.gpu("0000:03:00.0", 0, "NVIDIA A100-PCIE-40GB");
    made.process(&Made {
        last: 2,
        threads: 2,
        cpus: "0-5",
        maps: anon(&[(0, 100)], "bind:0").replace(" N0", " swapcache=200 N0"),
        swap_kib: 24 << 20,
        ..Made::default()
    });
    made.uses(0, 100);
    let seen = made.audit(&[]);
    assert_eq!((seen.code, seen.cpu(100)), (0, "ok"));
    seen.says(&["swap"]);
}

#[test]

fn one_process_with_gpus_of_both_nodes() {
    let mut made = p4d();
    made.process(&Made {
        command: "python3 train_mirrored.py",
        last: 3,
        threads: 12,
        cpus: "0-23,48-71",
        maps: anon(&[(0, 6000)], "default") + &pinned(&[(0, 2000)]),
        ..Made::default()
    });
    for gpu in 0..8 {
        made.uses(gpu, 100);
    }
    let seen = made.audit(&[]);
    assert!(["at-risk", "mismatch"].contains(&seen.verdict(100)));
    assert!([0, 1].contains(&seen.code));
    let is_finding = |line: &&str| line.contains("]: ") && line.contains("GPUs 4-7");
    assert!(
        seen.table.lines().any(|line| is_finding(&line)),
        "{}",
        seen.table
    );
}

/// migratepages to a node without free memory only moves the trouble.
#[test]

fn the_home_node_has_no_memory_left() {
    let mut made = MadeUp::new(&two_sockets(32, 60), near_or_21);
    made.memory(0, (60 * GIB) >> 10, 784_384);
    made.gpu("0000:17:00.0", 0, "NVIDIA A100 80GB PCIe");
    made.process(&Made {
        last: 1,
        threads: 2,
        cpus: "0-31",
        maps: anon(&[(0, 20_480), (1, 30_720)], "default"),
        ..Made::default()
    });
    made.uses(0, 100);
    let seen = made.audit(&[]);
    assert_eq!(
        (seen.code, seen.cpu(100), seen.memory(100)),
        (1, "ok", "mismatch")
    );
    assert!(seen.has("memory-remote", &[100]));
    seen.says(&["766 MiB", "free memory", "memory free", "is full"]);
}
