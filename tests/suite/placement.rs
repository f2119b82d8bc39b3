//! Verdicts on the CPUs and the memory of one trainer, each on the smallest machine that shows it.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{about_processes, finding, of_role};

#[test]
fn bound_to_the_gpus_node_is_ok() {
    let document = with_trainer(&PLACED).judges("ok", "ok", 0);
    assert_eq!(document["summary"]["local_fraction"], 1.0);
    assert_eq!(about_processes(&document), [&json!(null); 0]);
}

#[test]
fn on_the_right_node_but_unbound_is_at_risk() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    tree.judges("at-risk", "ok", 0);
    assert_eq!(tree.audit(&["--fail-on", "at-risk"]).code, Some(1));
}

#[test]
fn on_the_other_socket_is_a_mismatch() {
    let tree = with_trainer(&Process {
        threads: &[(2, "0-3")],
        ..PLACED
    });
    let document = tree.judges("mismatch", "ok", 1);
    assert_eq!(document["findings"][0]["rule"], "cpu-remote");
    assert_eq!(tree.audit(&["--fail-on", "never"]).code, Some(0));
}

#[test]
fn on_another_node_of_the_socket_is_near() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.one_socket();
    tree.judges("at-risk", "ok", 0);
}

#[test]
fn a_new_binding_outweighs_the_last_cpu_of_a_sleeping_process() {
    // It last ran on node 0, and will run on node 1.
    let tree = with_trainer(&Process {
        threads: &[(0, "2-3")],
        ..PLACED
    });
    let document = tree.judges("mismatch", "ok", 1);
    let message = document["findings"][0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("trainer 100 is bound to node 1 (by CPU affinity)"),
        "{message}"
    );
    // The reverse.
    let tree = with_trainer(&Process {
        threads: &[(2, "0-1")],
        ..PLACED
    });
    tree.judges("ok", "ok", 0);
}

/// Found by the lab on 8 nodes: `taskset` on a sleeping process whose last CPU was near.
#[test]
fn bound_to_the_other_socket_after_running_near_is_a_mismatch() {
    let tree = with_trainer(&Process {
        threads: &[(4, "2-3")],
        ..PLACED
    });
    tree.file("sys/devices/system/node/online", "0-2\n");
    tree.file("sys/devices/system/node/node2/cpulist", "4-5\n");
    tree.file(
        "sys/devices/system/cpu/cpu4/topology/physical_package_id",
        "0\n",
    );
    tree.judges("mismatch", "ok", 1);
}

#[test]
fn a_binding_that_some_threads_lack_is_at_risk() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1"), (2, "0-3"), (1, "0-1")],
        ..PLACED
    });
    let document = tree.judges("at-risk", "ok", 0);
    let threads = &of_role(&document, "trainer")[0]["cpu"]["threads"];
    assert_eq!(
        *threads,
        json!({"total": 3, "by_node": {"0": 2, "1": 1}, "astray": 1, "loose": 1, "loose_names": {"python3": 1}})
    );
}

#[test]
fn possible_cpus_that_do_not_exist_are_ignored() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1,4-239")],
        ..PLACED
    });
    tree.judges("ok", "ok", 0);
}

/// A trainer with this many 4 KiB pages on node 0 and 1 gets this verdict.
#[track_caller]
fn memory(local: u64, remote: u64, verdict: &str) {
    let maps = format!("7f0000000000 default anon=9 N0={local} N1={remote} kernelpagesize_kB=4\n");
    let tree = with_trainer(&Process {
        numa_maps: Some(&maps),
        ..PLACED
    });
    let code = if verdict == "ok" { 0 } else { 1 };
    tree.judges("ok", verdict, code);
}

#[test]
fn memory_is_remote_beyond_both_limits() {
    const LIMIT: u64 = 16 * 256;
    memory(0, LIMIT, "ok");
    memory(0, LIMIT + 1, "mismatch");
    memory(9 * (LIMIT + 1), LIMIT + 1, "ok");
    memory(9 * (LIMIT + 1) - 1, LIMIT + 1, "mismatch");
}

#[test]
fn the_memory_limits_can_be_set() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default N0=25600 N1=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    assert_eq!(tree.audit(&[]).code, Some(1));
    assert_eq!(tree.audit(&["--remote-percent", "50"]).code, Some(0));
    assert_eq!(tree.audit(&["--remote-mib", "100"]).code, Some(0));
    assert_eq!(tree.audit(&["--remote-mib", "99"]).code, Some(1));
}

#[test]
fn mapped_files_are_never_a_mismatch() {
    let tree = with_trainer(&Process {
        numa_maps: Some(
            "7f0000000000 default file=/data/set.bin mapped=99999 N1=99999 kernelpagesize_kB=4\n",
        ),
        ..PLACED
    });
    let document = tree.judges("ok", "ok", 0);
    let memory = &of_role(&document, "trainer")[0]["memory"];
    assert_eq!(memory["by_kind"]["file"]["1"], 99999 * 4096);
    assert_eq!(memory["by_node_bytes"], json!({}));
    assert_eq!(memory["node"], Value::Null);
    assert_eq!(memory["local_fraction"], Value::Null);
}

#[test]
fn dev_zero_is_pinned_in_a_trainer_and_shared_in_a_worker() {
    let zero =
        "7f0000000000 default file=/dev/zero\\040(deleted) dirty=512 N0=512 kernelpagesize_kB=4\n";
    let mut tree = Tree::new();
    tree.trainer(&Process {
        numa_maps: Some(zero),
        ..PLACED
    });
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        numa_maps: Some(zero),
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    let kinds = |role| of_role(&document, role)[0]["memory"]["by_kind"].clone();
    assert_eq!(kinds("trainer"), json!({"pinned": {"0": 2 << 20}}));
    assert_eq!(kinds("worker"), json!({"shared": {"0": 2 << 20}}));
}

#[test]
fn with_strict_node_near_is_a_mismatch() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.one_socket();
    tree.judges("at-risk", "ok", 0);
    assert_eq!(tree.audit(&["--strict-node"]).code, Some(1));
}

#[test]
fn pages_on_the_gpu_itself_are_not_remote() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default N2=99999 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    tree.file("sys/devices/system/node/node2/cpulist", "\n");
    tree.judges("ok", "mismatch", 1);
    tree.file(
        "proc/driver/nvidia/gpus/0000:10:1c.0/numa_status",
        "Node:\t2\nStatus:\tonline\n",
    );
    let document = tree.judges("ok", "ok", 0);
    assert_eq!(
        document["topology"]["gpus"][0]["own_memory_nodes"],
        json!([2])
    );
}

#[test]
fn nodes_without_cpus_belong_to_the_nearest_socket() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default N2=99999 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    tree.file("sys/devices/system/node/online", "0-2\n");
    tree.file("sys/devices/system/node/node2/cpulist", "\n");
    let distances = |rows: [&str; 3]| {
        for (node, row) in rows.iter().enumerate() {
            tree.file(&format!("sys/devices/system/node/node{node}/distance"), row);
        }
    };
    distances(["10 21 13", "21 10 23", "13 23 10"]);
    let document = tree.judges("ok", "at-risk", 0);
    assert_eq!(document["findings"][0]["rule"], "memory-near");
    distances(["10 21 23", "21 10 13", "23 13 10"]);
    tree.judges("ok", "mismatch", 1);
}

#[test]
fn the_commands_of_a_fix_name_its_cpus_and_nodes() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        numa_maps: Some("7f0000000000 default N1=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    let remedies = |tree: &Tree| {
        let document = tree.audit(&["--json"]).json();
        ["cpu-remote", "memory-remote"].map(|rule| {
            let finding = finding(&document, rule);
            (
                finding["remedy"].as_str().unwrap().to_owned(),
                finding["commands"].clone(),
            )
        })
    };
    let [cpu, memory] = remedies(&tree);
    assert_eq!(
        cpu,
        (
            "start it with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is".into(),
            json!(["taskset -a -p -c 0-1 100"])
        )
    );
    assert_eq!(
        memory.1,
        json!(["taskset -a -p -c 0-1 100", "migratepages 100 1 0"])
    );
    tree.file(
        "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 0 kB\n",
    );
    // The memory on node 1 is the nearest that there is.
    let document = tree.audit(&["--json"]).json();
    let cpu = crate::program::finding(&document, "cpu-remote");
    assert_eq!(
        cpu["remedy"],
        "start it with numactl --cpunodebind=0 --membind=1; memory that is already allocated stays where it is"
    );
    assert_eq!(document["processes"][0]["memory"]["verdict"], "ok");
}

#[test]
fn a_mismatch_outweighs_what_is_unknown() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        numa_maps: None,
        ..PLACED
    });
    tree.judges("mismatch", "unknown", 1);
}

#[test]
fn a_process_on_two_gpus_may_be_on_either_node() {
    let mut tree = with_trainer(&Process {
        threads: &[(2, "0-3")],
        ..PLACED
    });
    tree.listed(1, 100, "compute", 1 << 30);
    let document = tree.judges("ok", "ok", 0);
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(trainer["gpus"], json!([0, 1]));
    assert_eq!(trainer["local_nodes"], json!([0, 1]));
    let table = tree.audit(&[]).stdout;
    assert!(!table.contains("no process"), "{table}");
}

#[test]
fn without_a_gpu_memory_is_compared_with_the_cpu_node() {
    let tree = Tree::new();
    tree.process(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    let run = tree.audit(&["--json", "--pid", "100"]);
    assert_eq!(run.code, Some(1));
    let document = run.json();
    let process = &document["processes"][0];
    assert_eq!(process["role"], Value::Null);
    assert_eq!(process["local_nodes"], json!([1]));
    assert_eq!(process["cpu"]["verdict"], "ok");
    let message = document["findings"][0]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "CPU and memory NUMA nodes do NOT match: process 100 runs on node 1, but it has 100% of its working memory \
         on node 0 (100 MiB: anonymous 100 MiB)"
    );
}

#[test]
fn each_cause_of_at_risk_has_its_own_message() {
    let finding = |threads| {
        let tree = with_trainer(&Process { threads, ..PLACED });
        let document = tree.judges("at-risk", "ok", 0);
        let finding = &document["findings"][0];
        format!(
            "{}: {}",
            finding["rule"].as_str().unwrap(),
            finding["message"].as_str().unwrap()
        )
    };
    assert_eq!(
        finding(&[(0, "0-3")]),
        "cpu-unbound: GPU 0 is attached to node 0; trainer 100 runs there but is not bound there: its CPU affinity allows nodes 0-1"
    );
    assert_eq!(
        finding(&[(0, "0-1"), (2, "2-3"), (0, "0-3")]),
        "threads-astray: GPU 0 is attached to node 0, but trainer 100 is bound there only in part: 2 of 3 threads may run \
         elsewhere (python3 ×2), and 1 last ran elsewhere"
    );
}

#[test]
fn unbound_threads_are_named_with_their_cause() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1"), (2, "0-3"), (0, "0-3"), (2, "0-3"), (0, "0-1")],
        ..PLACED
    });
    tree.name_thread(100, 101, "pt_autograd_0", 778, 2);
    tree.name_thread(100, 102, "pt_autograd_1", 778, 0);
    tree.name_thread(100, 103, "cuda-EvtHandlr", 780, 2);
    let told = |last_start| {
        tree.name_thread(100, 104, "python3", last_start, 0);
        let document = tree.judges("at-risk", "ok", 0);
        let finding = finding(&document, "threads-astray");
        let message = finding["message"].as_str().unwrap().to_owned();
        (message, finding["evidence"].clone())
    };
    let (message, evidence) = told(900);
    assert_eq!(
        message,
        "GPU 0 is attached to node 0, but trainer 100 is bound there only in part (not the threads that are older than the \
         binding): 3 of 5 threads may run elsewhere (pt_autograd ×2, cuda-EvtHandlr), and 2 last ran elsewhere"
    );
    assert_eq!(
        evidence,
        json!({
            "home_nodes": [0], "threads": 5, "threads_loose": 3, "threads_astray": 2,
            "loose_names": "pt_autograd ×2, cuda-EvtHandlr", "pattern": "late-binding",
        })
    );
    let (message, evidence) = told(779);
    assert!(
        message.contains(" bound there only in part: 3 of 5 "),
        "{message}"
    );
    assert_eq!(
        evidence.get("pattern"),
        None,
        "which came first is not clear"
    );
    // Programs choose the names of their threads.
    tree.name_thread(100, 101, "\x1b]0;x\n#", 778, 2);
    let text = tree.audit(&["--color", "never"]).stdout + &tree.audit(&["--remedies"]).stdout;
    assert!(
        text.contains("\\u{1b}]0;x\\n#") && !text.contains('\x1b'),
        "{text}"
    );
}
