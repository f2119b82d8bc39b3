//! Compares the report with those of other programs on the same machine and the same processes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::guest::Left;

/// The number of facts that were compared with each program, and those that differ.
#[derive(Default)]
pub struct Compared {
    counts: BTreeMap<&'static str, usize>,
    differences: Vec<String>,
}

impl Compared {
    pub fn fact<T: PartialEq + std::fmt::Debug>(
        &mut self,
        peer: &'static str,
        what: &str,
        ours: T,
        theirs: T,
    ) {
        *self.counts.entry(peer).or_default() += 1;
        if ours != theirs {
            self.differences.push(format!(
                "{what}: numa-audit says {ours:?}, {peer} says {theirs:?}"
            ));
        }
    }

    /// Fails where anything differs, and where a program gave no facts.
    #[track_caller]
    pub fn all_agree(&self, shape: &str, peers: &[&str]) {
        let told: Vec<String> = self
            .counts
            .iter()
            .map(|(peer, count)| format!("{peer} {count}"))
            .collect();
        println!("{shape}: facts compared: {}", told.join(", "));
        assert!(
            self.differences.is_empty(),
            "{shape}:\n{}",
            self.differences.join("\n")
        );
        for peer in peers {
            assert!(
                self.counts.contains_key(peer),
                "{shape}: {peer} told nothing"
            );
        }
    }
}

/// The report's processes by PID.
pub fn by_pid(report: &Value) -> BTreeMap<u64, &Value> {
    let processes = report["processes"].as_array().unwrap().iter();
    processes
        .map(|process| (process["pid"].as_u64().unwrap(), process))
        .collect()
}

/// A list such as `0-1,4` as its numbers.
pub fn numbers(list: &str) -> Vec<u64> {
    let parts = list.split(',').filter(|part| !part.is_empty());
    let ranges = parts.map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse::<u64>().unwrap()..=last.parse().unwrap()
    });
    ranges.flatten().collect()
}

/// A mask such as `0x000000ff` or `0x00000001,0x00000000` as the list of its bits.
fn bits(mask: &str) -> Vec<u64> {
    let words = mask.split(',').rev().zip(0u64..);
    let set = words.flat_map(|(word, at)| {
        let bits = u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap_or(0);
        (0..32)
            .filter(move |bit| bits >> bit & 1 == 1)
            .map(move |bit| at * 32 + bit)
    });
    set.collect()
}

/// `numastat -p`: MiB of each process on each node, all kinds of memory.
pub fn numastat(left: &Left, report: &Value, compared: &mut Compared) {
    let processes = by_pid(report);
    let text = left.text("numastat");
    let mut columns: Vec<&str> = Vec::new();
    for line in text.lines() {
        if line.starts_with("PID") {
            // `PID   Node 0   Node 1   Total`; further nodes are in a second table.
            columns = line
                .split("  ")
                .map(str::trim)
                .filter(|word| word.starts_with("Node "))
                .collect();
        }
        let Some((pid, rest)) = line.split_once(" (") else {
            continue;
        };
        let Some(process) = pid.parse().ok().and_then(|pid: u64| processes.get(&pid)) else {
            continue;
        };
        let values = rest.split_once(')').unwrap().1.split_whitespace();
        for (column, theirs) in columns.iter().zip(values) {
            let node = column.trim_start_matches("Node ");
            let kinds = process["memory"]["by_kind"].as_object().unwrap().values();
            let bytes: u64 = kinds.filter_map(|by_node| by_node[node].as_u64()).sum();
            let ours = format!("{:.2}", bytes as f64 / 1024.0 / 1024.0);
            compared.fact(
                "numastat",
                &format!("{pid} on node {node}"),
                ours.as_str(),
                theirs,
            );
        }
    }
}

/// `numactl --hardware`: nodes, their CPUs, memory and distances.
pub fn numactl(left: &Left, report: &Value, compared: &mut Compared) {
    let text = left.text("numactl");
    let words = |line: &str| {
        line.split_whitespace()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let find = |start: String| {
        let found = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(&start));
        found.map(words).unwrap_or_default()
    };
    let header: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("node  "))
        .flat_map(words)
        .skip(1)
        .collect();
    for node in report["topology"]["nodes"].as_array().unwrap() {
        let id = node["id"].as_u64().unwrap();
        let ours: Vec<String> = numbers(node["cpus"].as_str().unwrap())
            .iter()
            .map(u64::to_string)
            .collect();
        compared.fact(
            "numactl",
            &format!("CPUs of node {id}"),
            ours,
            find(format!("node {id} cpus:")),
        );
        let size = node["memory_total_bytes"].as_u64().unwrap() >> 20;
        let theirs = find(format!("node {id} size:"));
        compared.fact(
            "numactl",
            &format!("size of node {id}"),
            format!("{size} MB"),
            theirs.join(" "),
        );
        let distances = node["distances"].as_object().unwrap();
        let ours: Vec<String> = header.iter().map(|to| distances[to].to_string()).collect();
        compared.fact(
            "numactl",
            &format!("distances of node {id}"),
            ours,
            find(format!("{id}:")),
        );
    }
}

/// A process of hwloc-ps: its PID and CPUs, and those of its threads.
type Told = (u64, Vec<u64>, Vec<(u64, Vec<u64>)>);

/// `hwloc-ps` and `taskset -p`: affinities, the nodes of these according to hwloc, and the numbers of threads.
pub fn affinity(left: &Left, report: &Value, compared: &mut Compared) {
    let processes = by_pid(report);
    // Explained difference: `status`, which we read, includes possible CPUs that the machine does not have;
    // sched_getaffinity, which they call, does not.
    let nodes = report["topology"]["nodes"].as_array().unwrap().iter();
    let present: Vec<u64> = nodes
        .flat_map(|node| numbers(node["cpus"].as_str().unwrap()))
        .collect();
    let affinity = |pid: u64| {
        let mut cpus = numbers(processes.get(&pid)?["cpu"]["affinity"].as_str().unwrap());
        cpus.retain(|cpu| present.contains(cpu));
        Some(cpus)
    };
    // Each process's line, and those of its threads.
    let mut told: Vec<Told> = Vec::new();
    for line in left.text("hwloc-ps").lines() {
        let fields: Vec<&str> = line.trim_start().split('\t').collect();
        let (id, mask) = (fields[0].parse().unwrap(), bits(fields[1]));
        match told.last_mut() {
            Some((.., threads)) if line.starts_with(' ') => threads.push((id, mask)),
            _ => told.push((id, mask, Vec::new())),
        }
    }
    for (pid, mask, threads) in told {
        let Some(process) = processes.get(&pid) else {
            continue;
        };
        // Explained difference: for a process with threads hwloc-ps shows the CPUs that any of them may use, and we
        // show the main thread's.
        let main = threads
            .iter()
            .find(|(tid, _)| *tid == pid)
            .map(|(_, mask)| mask.clone());
        compared.fact(
            "hwloc-ps",
            &format!("affinity of {pid}"),
            affinity(pid).unwrap(),
            main.unwrap_or(mask),
        );
        if !threads.is_empty() {
            let ours = process["cpu"]["threads"]["total"].as_u64().unwrap() as usize;
            compared.fact(
                "hwloc-ps",
                &format!("threads of {pid}"),
                ours,
                threads.len(),
            );
        }
    }
    for line in left.text("taskset").lines() {
        // pid 188's current affinity mask: ff
        let (pid, mask) = line
            .trim_start_matches("pid ")
            .split_once("'s current affinity mask: ")
            .unwrap();
        if let Some(ours) = affinity(pid.parse().unwrap()) {
            // It writes the mask in one piece, of 8 digits for each 32 CPUs.
            let digits: Vec<char> = mask.chars().collect();
            let words: Vec<String> = digits
                .rchunks(8)
                .rev()
                .map(|word| word.iter().collect())
                .collect();
            compared.fact(
                "taskset",
                &format!("affinity of {pid}"),
                ours,
                bits(&words.join(",")),
            );
        }
    }
    for line in left.text("hwloc-affinity").lines() {
        let (pid, nodes) = line.split_once(' ').unwrap();
        if let Some(process) = processes.get(&pid.parse().unwrap()) {
            let ours = process["cpu"]["affinity_nodes"].as_array().unwrap().iter();
            let ours: Vec<u64> = ours.filter_map(Value::as_u64).collect();
            compared.fact(
                "hwloc-calc",
                &format!("nodes of {pid}"),
                common(report, ours),
                common(report, numbers(nodes)),
            );
        }
    }
}

/// Only the nodes with CPUs and memory, which both can name. Explained differences: hwloc does not count a node without
/// memory, and assigns a node without CPUs to the nearest CPUs; for us a thread runs only on nodes that have CPUs.
fn common(report: &Value, mut ids: Vec<u64>) -> Vec<u64> {
    let nodes = report["topology"]["nodes"].as_array().unwrap();
    let has_both = |id: &u64| {
        let node = nodes.iter().find(|node| node["id"] == *id);
        node.is_some_and(|node| node["cpus"] != "" && node["memory_total_bytes"] != 0)
    };
    ids.sort_unstable();
    ids.retain(has_both);
    ids
}

/// hwloc: the nodes near each GPU.
pub fn pci(left: &Left, report: &Value, compared: &mut Compared) {
    for line in left.text("hwloc-pci").lines() {
        let (address, nodes) = line.split_once(' ').unwrap();
        let gpus = report["topology"]["gpus"].as_array().unwrap();
        let gpu = gpus
            .iter()
            .find(|gpu| gpu["pci_bus_id"] == address)
            .unwrap();
        let theirs = common(report, numbers(nodes));
        let ours: Vec<u64> = gpu["local_nodes"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        if gpu["home_source"] == "unknown" {
            // Explained difference: with numa_node -1 the kernel lists all CPUs as local, and hwloc takes them.
            assert!(
                theirs.len() > 1 && ours.is_empty(),
                "{address}: {ours:?} {theirs:?}"
            );
            continue;
        }
        if gpu["home_nodes"] != gpu["local_nodes"] {
            // Explained difference: for a node without CPUs the kernel lists no local CPUs, and hwloc takes all.
            assert!(
                theirs.len() > 1 && ours.iter().all(|node| theirs.contains(node)),
                "{address}: {ours:?} {theirs:?}"
            );
            continue;
        }
        compared.fact(
            "hwloc-calc",
            &format!("nodes of GPU {address}"),
            common(report, ours),
            theirs,
        );
    }
}
