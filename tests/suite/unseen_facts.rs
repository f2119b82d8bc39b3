//! Facts that a table of nodes does not show: memory in swap, isolated CPUs, CPU quotas, nodes that do not exist.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{finding, of_role};
use crate::rules::gaps;

fn status(tree: &Tree, swap_mib: u64) {
    let text = format!(
        "Uid:\t7\t7\t7\t7\nVmSwap:\t{} kB\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t0-1\n",
        swap_mib << 10
    );
    tree.file("proc/100/status", &text);
}

fn has(document: &Value, rule: &str) -> bool {
    let findings = document["findings"].as_array().unwrap();
    findings.iter().any(|of| of["rule"] == rule)
}

#[test]
fn memory_in_swap_is_on_no_node() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 bind:0 anon=25600 N0=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    status(&tree, 300);
    let document = tree.judges("ok", "ok", 0);
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(trainer["memory"]["swap_bytes"], 300 << 20);
    assert_eq!(
        trainer["memory"]["local_fraction"], 1.0,
        "of what is present"
    );
    assert_eq!(
        finding(&document, "memory-in-swap")["message"],
        "trainer 100 has 300 MiB in swap, 75% of its memory, on no node; its memory may only be on node 0"
    );
    let table = tree.audit(&[]).stdout;
    assert!(table.contains("swap: 300 MiB"), "{table}");
    let same = tree.audit(&["--remote-percent", "80", "--json"]).json();
    assert!(!has(&same, "memory-in-swap"));
}

#[test]
fn little_swap_and_unknown_swap_say_nothing() {
    let tree = with_trainer(&PLACED);
    let document = tree.judges("ok", "ok", 0);
    assert_eq!(
        of_role(&document, "trainer")[0]["memory"]["swap_bytes"],
        json!(null)
    );
    assert!(!tree.audit(&[]).stdout.contains("swap"));
    status(&tree, 11);
    assert!(
        !has(&tree.judges("ok", "ok", 0), "memory-in-swap"),
        "beyond one limit only"
    );
    // More than the limits, of memory that is unknown.
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    status(&tree, 300);
    assert!(!has(&tree.judges("ok", "unknown", 3), "memory-in-swap"));
}

#[test]
fn swap_that_makes_no_sense_is_a_gap() {
    let tree = with_trainer(&PLACED);
    let text =
        "Uid:\t7\t7\t7\t7\nVmSwap:\tmuch kB\nCpus_allowed_list:\t0-1\nMems_allowed_list:\t0-1\n";
    tree.file("proc/100/status", text);
    let document = tree.judges("ok", "ok", 0);
    let swap = &of_role(&document, "trainer")[0]["memory"]["swap_bytes"];
    assert_eq!(swap, &json!(null));
    assert_eq!(gaps(&tree), ["100 memory in swap"]);
}

/// A trainer of four threads on CPUs 4-7 of node 0.
fn on_four_cpus(last: [u32; 4]) -> Tree {
    let mut tree = Tree::new();
    tree.nodes(&[("0-7", 0), ("8-15", 1)]);
    tree.trainer(&Process {
        threads: &last.map(|cpu| (cpu, "4-7")),
        ..PLACED
    });
    tree
}

const ISOLATED: &str = "sys/devices/system/cpu/isolated";

#[test]
fn threads_on_one_of_several_isolated_cpus() {
    let tree = on_four_cpus([4; 4]);
    assert!(!has(&tree.judges("ok", "ok", 0), "cpus-isolated"));
    tree.file(ISOLATED, "4-7\n");
    let document = tree.judges("ok", "ok", 0);
    assert_eq!(
        finding(&document, "cpus-isolated")["message"],
        "trainer 100 may run on 4 CPUs (4-7), which are isolated: the scheduler does not spread threads over them; all 4 \
         threads last ran on CPU 4"
    );
    // Other CPUs are isolated, or not all of them: the scheduler uses the others.
    for isolated in ["0-3\n", "5-7\n", "\n"] {
        tree.file(ISOLATED, isolated);
        assert!(
            !has(&tree.judges("ok", "ok", 0), "cpus-isolated"),
            "{isolated}"
        );
    }
    // They were placed one by one.
    let tree = on_four_cpus([4, 5, 6, 7]);
    tree.file(ISOLATED, "4-7\n");
    assert!(!has(&tree.judges("ok", "ok", 0), "cpus-isolated"));
}

#[test]
fn an_isolated_partition_is_isolated_too() {
    let tree = on_four_cpus([4; 4]);
    tree.confine(100, "/box/job", "4-7", "0-1");
    let partition = |group: &str, text: &str| {
        tree.file(&format!("sys/fs/cgroup{group}/cpuset.cpus.partition"), text);
        has(&tree.judges("ok", "ok", 0), "cpus-isolated")
    };
    assert!(partition("/box", "isolated\n"), "above it");
    assert!(partition("/box/job", "member\n"));
    assert!(!partition("/box/job", "root\n"), "a partition of its own");
    assert!(partition("/box/job", "isolated\n"));
    assert!(
        !partition("/box/job", "isolated invalid (Cpu list empty)\n")
            || partition("/box", "isolated\n")
    );
}

#[test]
fn unreadable_isolated_cpus_are_a_gap() {
    let tree = on_four_cpus([4; 4]);
    tree.file(ISOLATED, "nonsense\n");
    let document = tree.audit(&["--json"]).json();
    assert!(!has(&document, "cpus-isolated"));
    let gaps = document["incomplete"].as_array().unwrap();
    assert!(
        gaps.iter().any(|gap| gap["what"] == "isolated CPUs"),
        "{gaps:?}"
    );
}

/// A trainer with three workers in one control group.
fn in_group() -> Tree {
    let mut tree = Tree::new();
    tree.nodes(&[("0-7", 0), ("8-15", 1)]);
    for pid in [100, 101, 102, 103] {
        let process = Process {
            pid,
            ppid: if pid == 100 { 1 } else { 100 },
            threads: &[(0, "0-7")],
            ..PLACED
        };
        if pid == 100 {
            tree.trainer(&process);
        } else {
            tree.process(&process);
        }
        tree.file(&format!("proc/{pid}/cgroup"), "0::/pod/main\n");
    }
    tree
}

#[test]
fn a_quota_of_fewer_cpus_than_processes() {
    let tree = in_group();
    let quota = |group: &str, text: &str| {
        tree.file(&format!("sys/fs/cgroup{group}/cpu.max"), text);
        tree.judges("ok", "ok", 0)
    };
    assert!(!has(&quota("/pod/main", "max 100000\n"), "cpu-quota"));
    assert!(!has(&quota("/pod/main", "400000 100000\n"), "cpu-quota"));
    let document = quota("/pod", "150000 100000\n");
    assert_eq!(
        finding(&document, "cpu-quota")["message"],
        "trainer 100 and 3 workers share a CPU quota of 1.5 CPUs: all their threads stop when it is used up"
    );
    let document = quota("/pod", "nonsense\n");
    assert!(!has(&document, "cpu-quota"));
    let gaps = gaps(&tree);
    assert!(gaps.contains(&"100 CPU quota".to_owned()), "{gaps:?}");
}

#[test]
fn a_quota_of_version_1() {
    let tree = in_group();
    for pid in [100, 101, 102, 103] {
        tree.file(
            &format!("proc/{pid}/cgroup"),
            "4:cpu,cpuacct:/pod\n1:name=systemd:/pod\n",
        );
    }
    let file = |name: &str, text: &str| tree.file(&format!("sys/fs/cgroup/cpu/pod/{name}"), text);
    file("cpu.cfs_period_us", "100000\n");
    file("cpu.cfs_quota_us", "-1\n");
    assert!(!has(&tree.judges("ok", "ok", 0), "cpu-quota"));
    file("cpu.cfs_quota_us", "200000\n");
    assert!(has(&tree.judges("ok", "ok", 0), "cpu-quota"));
}

#[test]
fn a_gpu_on_a_node_that_does_not_exist() {
    let tree = with_trainer(&PLACED);
    tree.numa_node("6\n");
    let document = tree.judges("unknown", "unknown", 3);
    let gpu = &document["topology"]["gpus"][0];
    assert_eq!(
        (&gpu["home_nodes"], &gpu["home_source"]),
        (&json!([]), &json!("unknown"))
    );
    assert_eq!(gpu["home_answers"], json!({"sysfs": [6]}));
    assert!(!has(&document, "sources-disagree"));
    let message = finding(&document, "gpu-node-unknown")["message"]
        .as_str()
        .unwrap();
    assert!(
        message.contains("(sysfs says node 6, which does not exist here)"),
        "{message}"
    );
    let table = tree.audit(&[]).stdout;
    assert!(
        table.contains("home node unknown (sysfs says node 6, which does not exist here)"),
        "{table}"
    );
}

/// Another source knows better.
#[test]
fn the_next_source_is_used_where_one_names_a_node_that_does_not_exist() {
    let mut tree = with_trainer(&PLACED);
    tree.numa_node("6\n");
    tree.affinity = [Some("0-3"), Some("0")];
    let document = tree.audit(&["--json"]).json();
    let gpu = &document["topology"]["gpus"][0];
    assert_eq!(gpu["home_nodes"], json!([0]), "{gpu}");
    assert!(has(&document, "sources-disagree"));
}

/// 9 MiB on a near node and 9 MiB on a remote one, of 100: each is within the limits of 16 MiB, both together are not.
#[test]
fn near_and_remote_memory_count_together() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 0), ("4-5", 1)]);
    tree.trainer(&Process {
        numa_maps: Some(
            "7f0000000000 default anon=9 N0=20992 N1=2304 N2=2304 kernelpagesize_kB=4\n",
        ),
        ..PLACED
    });
    let document = tree.judges("ok", "at-risk", 0);
    let message = finding(&document, "memory-near")["message"]
        .as_str()
        .unwrap();
    assert!(
        message.ends_with(
            ", of it 9.0 MiB on another socket (node 2): near and remote memory count together"
        ),
        "{message}"
    );
}

#[test]
fn a_policy_of_near_and_remote_nodes_is_remote() {
    let has = |policy: &str, rule: &str| {
        let mut tree = Tree::new();
        tree.nodes(&[("0-1", 0), ("2-3", 0), ("4-5", 1)]);
        tree.trainer(&Process {
            numa_maps: Some(&format!(
                "7f0000000000 {policy} anon=9 N0=9 kernelpagesize_kB=4\n"
            )),
            ..PLACED
        });
        has(&tree.audit(&["--json"]).json(), rule)
    };
    assert!(has("bind:1-2", "policy-remote"));
    assert!(has("prefer (many):2", "policy-remote"));
    assert!(!has("bind:1", "policy-remote"), "near");
    assert!(!has("bind:0,2", "policy-remote"), "one of them is local");
    assert!(!has("interleave:0", "policy-interleaved"));
    assert!(has("interleave:0-1", "policy-interleaved"));
    assert!(has("weighted interleave:1-2", "policy-interleaved"));
}
