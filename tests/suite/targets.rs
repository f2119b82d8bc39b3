//! One target for each process: no two findings move a process to two places, and no command is printed that cannot work.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{finding, replay};

/// The numbers of a list such as `0-3,8`.
fn numbers(list: &str) -> BTreeSet<u32> {
    let ranges = list.split(',').filter(|range| !range.is_empty());
    let numbers = ranges.flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u32>().unwrap()..=last.parse().unwrap()
    });
    numbers.collect()
}

fn nodes(list: &Value) -> BTreeSet<u32> {
    let list = list.as_array().unwrap().iter();
    list.map(|node| node.as_u64().unwrap().try_into().unwrap())
        .collect()
}

/// The processes and the words of a command: `for pid in 1 2; do taskset -a -p -c 0-3 $pid; done` or one for a single process.
fn parts_of(command: &str) -> (Vec<u32>, Vec<&str>) {
    let (pids, inner) = match command.strip_prefix("for pid in ") {
        Some(rest) => {
            let (pids, inner) = rest.split_once("; do ").unwrap();
            (Some(pids), inner.strip_suffix("; done").unwrap())
        }
        None => (None, command),
    };
    let words: Vec<&str> = inner.split(' ').collect();
    let own = match words[0] {
        "taskset" => words[5],
        "migratepages" => words[1],
        other => panic!("an unknown command: {other}"),
    };
    let pids = pids.unwrap_or(own).split(' ');
    (pids.map(|pid| pid.parse().unwrap()).collect(), words)
}

/// All commands of a document move each process to its target, to CPUs and memory that its cpuset allows.
#[track_caller]
pub fn assert_one_target(document: &Value) {
    let Some(processes) = document["processes"].as_array() else {
        return;
    };
    let by_pid: BTreeMap<u64, &Value> = processes
        .iter()
        .map(|process| (process["pid"].as_u64().unwrap(), process))
        .collect();
    let findings = document["findings"].as_array().unwrap().iter();
    let commands = findings.flat_map(|finding| finding["commands"].as_array().unwrap());
    let commands = commands.map(|command| command.as_str().unwrap());
    for command in commands.filter(|command| !command.starts_with("sysctl ")) {
        let (pids, words) = parts_of(command);
        for pid in pids {
            let process = by_pid[&u64::from(pid)];
            let target = &process["target"];
            if words[0] == "taskset" {
                assert_eq!(target["cpus"], words[4], "{command}");
                if let Some(cpuset) = process["cpu"]["cpuset"].as_str() {
                    let cpus = numbers(words[4]);
                    assert!(cpus.is_subset(&numbers(cpuset)), "{command}: {cpuset}");
                }
            } else {
                let (from, to) = (numbers(words[2]), numbers(words[3]));
                assert_eq!(nodes(&target["memory_nodes"]), to, "{command}");
                assert!(from.is_disjoint(&to), "{command}");
                let allowed = &process["memory"]["mems_allowed"];
                if !allowed.is_null() {
                    assert!(to.is_subset(&nodes(allowed)), "{command}: {allowed}");
                }
            }
        }
    }
}

#[test]
fn commands_of_recorded_machines_follow_the_targets() {
    for name in [
        "p4d-do-not-match",
        "p4d-bound",
        "h200x4-mp-spawn",
        "h200x4-torchrun-forkserver",
        "h200x2-mp-spawn",
    ] {
        assert_one_target(&replay(name, &["--json"]).json());
    }
}

/// A trainer that is bound to node 0 and has so many MiB of anonymous memory on node 0 and on node 1.
fn with_memory(local: u32, remote: u32) -> Tree {
    let pages = format!(
        "7f0000000000 default anon={0} N0={1} N1={2} kernelpagesize_kB=4\n",
        (local + remote) * 256,
        local * 256,
        remote * 256
    );
    with_trainer(&Process {
        numa_maps: Some(&pages),
        ..PLACED
    })
}

/// The memory of a node, in MiB: in all, free, page cache, and shared memory in the page cache.
fn meminfo(tree: &Tree, node: u32, [total, free, cache, shared]: [u32; 4]) {
    let lines = [
        ("MemTotal", total),
        ("MemFree", free),
        ("FilePages", cache),
        ("Shmem", shared),
    ];
    let lines = lines.map(|(name, mib)| format!("Node {node} {name}: {} kB\n", mib * 1024));
    let file = format!("sys/devices/system/node/node{node}/meminfo");
    tree.file(&file, &lines.concat());
}

fn target(document: &Value) -> &Value {
    &document["processes"][0]["target"]
}

fn kinds(document: &Value) -> Vec<&str> {
    let obstacles = target(document)["obstacles"].as_array().unwrap();
    obstacles
        .iter()
        .map(|obstacle| obstacle["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn pages_do_not_move_into_a_full_node() {
    let tree = with_memory(200, 300);
    meminfo(&tree, 0, [512, 7, 20, 10]);
    let document = tree.audit(&["--json"]).json();
    let remote = finding(&document, "memory-remote");
    assert_eq!(remote["commands"], json!([]));
    assert_eq!(
        remote["remedy"],
        "free memory on that node first, or start the job with less memory (fewer workers, a smaller cache); node 0 has \
         7.0 MiB free and 10 MiB of page cache, and 300 MiB would have to move there"
    );
    assert_eq!(kinds(&document), ["free-memory"]);
    assert!(!tree.audit(&[]).stdout.contains("membind=0"));
}

/// The kernel drops page cache for memory that a process needs, but not shared memory.
#[test]
fn page_cache_is_room_and_shared_memory_is_not() {
    let tree = with_memory(200, 300);
    for (memory, can_move) in [
        ([512, 100, 250, 0], true),
        ([512, 100, 250, 100], false),
        ([512, 300, 0, 0], true),
        ([512, 299, 0, 0], false),
    ] {
        meminfo(&tree, 0, memory);
        let document = tree.audit(&["--json"]).json();
        let remote = finding(&document, "memory-remote");
        let expected = if can_move {
            json!(["migratepages 100 1 0"])
        } else {
            json!([])
        };
        assert_eq!(remote["commands"], expected, "{memory:?}");
    }
}

/// Free memory is shared: each of two trainers would fit, both do not.
#[test]
fn free_memory_is_dealt_out_once() {
    let mut tree = with_memory(0, 300);
    tree.trainer(&Process {
        pid: 200,
        numa_maps: Some("7f0000000000 default anon=76800 N1=76800 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    meminfo(&tree, 0, [1024, 400, 0, 0]);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(finding(&document, "memory-remote")["commands"], json!([]));
    meminfo(&tree, 0, [1024, 600, 0, 0]);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(
        finding(&document, "memory-remote")["commands"],
        json!(["for pid in 100 200; do migratepages $pid 1 0; done"])
    );
}

/// Forked workers show the pages of their trainer: these move once.
#[test]
fn shared_pages_of_workers_count_once() {
    let tree = with_memory(0, 300);
    tree.process(&Process {
        pid: 110,
        ppid: 100,
        name: "pt_data_worker",
        numa_maps: Some("7f0000000000 default anon=76800 N1=76800 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    meminfo(&tree, 0, [1024, 400, 0, 0]);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(
        finding(&document, "memory-remote")["commands"],
        json!(["for pid in 100 110; do migratepages $pid 1 0; done"])
    );
}

#[test]
fn a_free_memory_that_is_unknown_is_no_obstacle() {
    let document = with_memory(0, 300).audit(&["--json"]).json();
    assert_eq!(kinds(&document), [""; 0]);
    assert_eq!(
        document["topology"]["nodes"][0]["memory_reclaimable_bytes"],
        Value::Null
    );
}

/// Two ranks on each other's node, both full: no page can move now, and after a new start both fit.
#[test]
fn ranks_that_changed_places_can_be_bound_at_the_next_start() {
    let remote =
        |node| format!("7f0000000000 default anon=76800 N{node}=76800 kernelpagesize_kB=4\n");
    let mut tree = Tree::new();
    tree.trainer(&Process {
        threads: &[(2, "2-3")],
        numa_maps: Some(&remote(1)),
        ..PLACED
    });
    tree.process(&Process {
        pid: 200,
        threads: &[(0, "0-1")],
        numa_maps: Some(&remote(0)),
        ..PLACED
    });
    tree.listed(1, 200, "compute", 1 << 30);
    for node in 0..2 {
        meminfo(&tree, node, [320, 20, 0, 0]);
    }
    let document = tree.audit(&["--json"]).json();
    let cpu = finding(&document, "cpu-remote");
    assert!(
        cpu["remedy"].as_str().unwrap().contains("--membind=0"),
        "{cpu}"
    );
    let memory = finding(&document, "memory-remote");
    assert_eq!(memory["commands"], json!(["taskset -a -p -c 0-1 100"]));
}

/// Huge pages of 2 MiB of the trainer, all on node 1.
const HUGE: &str = "7f0000000000 default huge anon=150 dirty=150 N1=150 kernelpagesize_kB=2048\n";

fn pool(tree: &Tree, node: u32, free: u32) {
    let folder = format!("sys/devices/system/node/node{node}/hugepages/hugepages-2048kB");
    tree.file(&format!("{folder}/nr_hugepages"), "200\n");
    tree.file(&format!("{folder}/free_hugepages"), &format!("{free}\n"));
}

#[test]
fn huge_pages_move_only_into_free_huge_pages() {
    let tree = with_trainer(&Process {
        numa_maps: Some(HUGE),
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    let remote = finding(&document, "memory-remote");
    assert_eq!(remote["commands"], json!([]));
    assert_eq!(kinds(&document), ["huge-pages"]);
    let note = "300 MiB of huge pages can only move into free huge pages: node 0";
    assert_eq!(
        remote["note"],
        format!("{note} may have none (free_hugepages is unknown)")
    );
    pool(&tree, 0, 149);
    let document = tree.audit(&["--json"]).json();
    let remote = finding(&document, "memory-remote");
    assert_eq!(remote["commands"], json!([]));
    assert_eq!(
        remote["note"],
        format!("{note} has 298 MiB of them (free_hugepages, nr_hugepages)")
    );
    pool(&tree, 0, 150);
    let document = tree.audit(&["--json"]).json();
    let remote = finding(&document, "memory-remote");
    assert_eq!(remote["commands"], json!(["migratepages 100 1 0"]));
    assert_eq!(remote["note"], Value::Null);
    assert_eq!(
        document["topology"]["nodes"][0]["huge_pages"],
        json!([{"page_bytes": 2 << 20, "total": 200, "free": 150}])
    );
}

/// Other pages of the same process still move.
#[test]
fn huge_pages_that_cannot_move_do_not_keep_the_others() {
    let both = format!("{HUGE}7f1000000000 default anon=25600 N1=25600 kernelpagesize_kB=4\n");
    let tree = with_trainer(&Process {
        numa_maps: Some(&both),
        ..PLACED
    });
    pool(&tree, 0, 0);
    let document = tree.audit(&["--json"]).json();
    let remote = finding(&document, "memory-remote");
    assert_eq!(remote["commands"], json!(["migratepages 100 1 0"]));
    assert_eq!(kinds(&document), ["huge-pages"]);
}

/// Node 2 has no CPUs and belongs to the socket of node 0.
fn with_chosen(policy: &str) -> Value {
    let pages = format!("7f0000000000 {policy} anon=76800 N2=76800 kernelpagesize_kB=4\n");
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 1), ("", 0)]);
    tree.trainer(&Process {
        numa_maps: Some(&pages),
        ..PLACED
    });
    tree.audit(&["--json"]).json()
}

#[test]
fn memory_that_a_policy_chose_stays() {
    let document = with_chosen("prefer:2");
    let near = finding(&document, "memory-near");
    assert_eq!(near["commands"], json!([]));
    assert_eq!(kinds(&document), ["chosen-memory"]);
    assert!(
        near["remedy"]
            .as_str()
            .unwrap()
            .starts_with("leave it, if the policy prefer:2 is intended"),
        "{near}"
    );
    // Without a policy nothing says that it was chosen.
    let document = with_chosen("default");
    assert_eq!(
        finding(&document, "memory-near")["commands"],
        json!(["migratepages 100 2 0"])
    );
}

#[test]
fn a_policy_for_other_nodes_is_said_with_the_pages_that_move() {
    let tree = with_trainer(&Process {
        numa_maps: Some(
            "7f0000000000 interleave:0-1 anon=76800 N0=38400 N1=38400 kernelpagesize_kB=4\n",
        ),
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    assert_eq!(kinds(&document), ["policy"]);
    assert_eq!(
        finding(&document, "memory-remote")["note"],
        "the memory policy interleave:0-1 puts new pages elsewhere, and it cannot be changed from outside"
    );
}

/// Pages that do not move are no reason for a command.
#[test]
fn pinned_memory_alone_has_no_command_and_one_note() {
    let tree = with_trainer(&Process {
        numa_maps: Some(
            "7f0000000000 default file=/dev/zero\\040(deleted) dirty=25600 N1=25600 kernelpagesize_kB=4\n",
        ),
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    assert_eq!(finding(&document, "memory-remote")["commands"], json!([]));
    assert_eq!(kinds(&document), ["pinned"]);
    let table = tree.audit(&[]).stdout;
    assert_eq!(table.matches("pinned pages do not move").count(), 1);
}

#[test]
fn the_cpuset_limits_the_target() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-3", 0), ("4-7", 1)]);
    tree.trainer(&Process {
        threads: &[(5, "1,5")],
        ..PLACED
    });
    tree.confine(100, "/job", "1,5", "0-1");
    let document = tree.audit(&["--json"]).json();
    assert_eq!(target(&document)["cpus"], "1");
    let cpu = finding(&document, "cpu-remote");
    assert_eq!(cpu["commands"], json!(["taskset -a -p -c 1 100"]));
    assert!(
        cpu["remedy"]
            .as_str()
            .unwrap()
            .starts_with("start it with numactl --physcpubind=1 --membind=0"),
        "{cpu}"
    );
    tree.confine(100, "/job", "5", "1");
    let document = tree.audit(&["--json"]).json();
    assert_eq!(kinds(&document), ["cpuset"]);
    assert_eq!(target(&document)["cpus"], "");
}

#[test]
fn launchers_have_no_target() {
    let tree = with_trainer(&Process { ppid: 50, ..PLACED });
    tree.process(&Process {
        pid: 50,
        command: "python3\0/usr/bin/torchrun\0train.py\0",
        numa_maps: None,
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    let processes = document["processes"].as_array().unwrap();
    let launcher = processes.iter().find(|of| of["pid"] == 50).unwrap();
    assert_eq!(launcher["target"], Value::Null);
}

/// Two ranks whose GPUs are attached to nodes 0 and 1. Of these, node 1 has no memory; node 2 is nearest to it.
#[test]
fn the_script_for_the_next_start_binds_memory_where_there_is_some() {
    let mut tree = Tree::new();
    tree.nodes(&[("0-1", 0), ("2-3", 1), ("4-5", 1)]);
    meminfo(&tree, 1, [0, 0, 0, 0]);
    tree.process(&Process {
        pid: 50,
        name: "pt_elastic",
        command: "python3\0/bin/torchrun\0t.py\0",
        threads: &[(0, "0-5")],
        ..PLACED
    });
    for rank in 0..2 {
        let pid = 100 * (rank + 1);
        tree.process(&Process {
            pid,
            ppid: 50,
            threads: &[(0, "0-5")],
            ..PLACED
        });
        tree.listed(rank as usize, pid, "compute", 1 << 30);
        tree.variables(pid, &[&format!("LOCAL_RANK={rank}"), "MASTER_PORT=29500"]);
        let status = "Uid:\t7\t7\t7\t7\nCpus_allowed_list:\t0-5\nMems_allowed_list:\t0,2\n";
        tree.file(&format!("proc/{pid}/status"), status);
    }
    let script = tree.audit(&["--remedies"]).stdout;
    for line in [
        "#   0) nodes=0 memory=0 ;; # ranks 0",
        "#   1) nodes=1 memory=2 ;; # ranks 1",
        "#   exec numactl --cpunodebind=\"$nodes\" --membind=\"$memory\" \"$@\"",
    ] {
        assert!(script.contains(line), "{line}: {script}");
    }
    meminfo(&tree, 0, [64, 1, 0, 0]);
    tree.file(
        "proc/100/numa_maps",
        "7f0000000000 default anon=76800 N2=76800 kernelpagesize_kB=4\n",
    );
    let script = tree.audit(&["--remedies"]).stdout;
    assert!(
        script.contains("#   exec numactl --cpunodebind=\"$nodes\" \"$@\""),
        "{script}"
    );
}

/// All threads of a process on several isolated CPUs stay on one of them.
#[test]
fn isolated_cpus_are_no_target() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    for (isolated, cpus) in [("\n", "0-1"), ("1\n", "0"), ("0-1\n", "0-1")] {
        tree.file("sys/devices/system/cpu/isolated", isolated);
        let document = tree.audit(&["--json"]).json();
        assert_eq!(target(&document)["cpus"], cpus, "{isolated}");
    }
}
