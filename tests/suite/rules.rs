//! Each rule on the smallest machine that raises it, on the same machine fixed, and on one where the fact is unknown.

mod asked;
mod cpu;
mod crowd;
mod healthy;
mod host;
mod job;
mod memory;
mod policy;
mod screen;
mod script;
mod walls;

use std::sync::LazyLock;

use crate::machine::{PLACED, Process, Tree};

/// The names of all rules, as `rules --json` lists them.
static RULES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let rules = crate::program::run(["rules", "--json"]).json();
    let names = rules.as_array().unwrap().iter();
    names
        .map(|rule| rule["name"].as_str().unwrap().to_owned())
        .collect()
});

/// The options that switch all rules but one off.
pub fn alone(rule: &'static str) -> Vec<&'static str> {
    assert!(RULES.iter().any(|known| known == rule), "{rule}");
    let others = RULES.iter().filter(|other| *other != rule);
    others.flat_map(|other| ["--allow", other]).collect()
}

/// What the table and the JSON say about one rule. Empty where it is not raised.
#[track_caller]
pub fn told(tree: &Tree, rule: &'static str) -> String {
    let table = tree.audit(&alone(rule)).stdout;
    let is_mark = |line: &&str| line.contains(&format!("[{rule}]: "));
    let lines = table.lines().skip_while(|line| !is_mark(line));
    let mut text: String = lines
        .take_while(|line| !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect();
    let document = tree.audit(&[alone(rule), vec!["--json"]].concat()).json();
    let findings = document["findings"].as_array().unwrap();
    assert_eq!(findings.is_empty(), text.is_empty(), "{text}{findings:#?}");
    for finding in findings {
        text += &format!("{finding}\n");
    }
    text
}

/// Asserts that a rule is not raised.
#[track_caller]
pub fn silent(tree: &Tree, rule: &'static str) {
    assert_eq!(told(tree, rule), "");
}

/// The gaps: PID and fact.
pub fn gaps(tree: &Tree) -> Vec<String> {
    let document = tree.audit(&["--json"]).json();
    let gaps = document["incomplete"].as_array().unwrap().iter();
    gaps.map(|gap| format!("{} {}", gap["pid"], gap["what"].as_str().unwrap()))
        .collect()
}

/// A launcher and two trainers, on GPU 0 of node 0 and on GPU 1 of node 1, with these affinities.
pub fn two_ranks(command: &str, cpus: [&str; 2]) -> Tree {
    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 50,
        command,
        threads: &[(0, "0-3")],
        ..PLACED
    });
    for (gpu, cpus) in cpus.iter().enumerate() {
        let pid = 100 * (gpu as u32 + 1);
        let last = cpus[..1].parse().unwrap();
        let node = last / 2;
        let threads = [(last, *cpus)];
        tree.process(&Process {
            pid,
            ppid: 50,
            threads: &threads,
            numa_maps: Some(&format!(
                "7f0000000000 default anon=25600 N{node}=25600 kernelpagesize_kB=4\n"
            )),
            ..PLACED
        });
        tree.variables(
            pid,
            &[
                &format!("LOCAL_RANK={gpu}"),
                "MASTER_PORT=29500",
                &format!("RANK={gpu}"),
            ],
        );
        tree.listed(gpu, pid, "compute", 1 << 30);
    }
    tree
}

/// Addresses and nodes of the GPUs of a p4d, from GPU 1 on.
const P4D: [(&str, &str); 7] = [
    ("0000:10:1D.0", "0\n"),
    ("0000:20:1C.0", "0\n"),
    ("0000:20:1D.0", "0\n"),
    ("0000:90:1C.0", "1\n"),
    ("0000:90:1D.0", "1\n"),
    ("0000:A0:1C.0", "1\n"),
    ("0000:A0:1D.0", "1\n"),
];

/// The CPUs of each of its nodes, and of both.
pub const NODES: [&str; 2] = ["0-23,48-71", "24-47,72-95"];
pub const ALL: &str = "0-95";

/// Two sockets of 48 CPUs, and four GPUs on each.
pub fn p4d() -> Tree {
    let mut tree = Tree::new();
    tree.nodes(&[(NODES[0], 0), (NODES[1], 1)]);
    for (address, node) in P4D {
        tree.gpu(address, node);
    }
    tree
}

/// The placement of one rank of a job of eight, and of its data loaders.
pub struct Rank<'a> {
    pub cpus: &'a str,
    pub node: usize,
    pub policy: &'a str,
    pub workers: u32,
    pub worker_cpus: &'a str,
    pub worker_node: usize,
}

impl Rank<'_> {
    /// Bound to the node of its GPU, with twelve data loaders.
    pub fn right(rank: usize) -> Self {
        let node = rank / 4;
        Self {
            cpus: NODES[node],
            node,
            policy: "default",
            workers: 12,
            worker_cpus: NODES[node],
            worker_node: node,
        }
    }
}

/// A launcher with one rank for each GPU.
pub fn job<'a>(command: &str, rank: impl Fn(usize) -> Rank<'a>) -> Tree {
    let mut tree = p4d();
    tree.process(&Process {
        pid: 500,
        name: "pt_elastic",
        command,
        threads: &[(30, ALL)],
        ..PLACED
    });
    for gpu in 0..8 {
        let of = rank(gpu);
        let pid = 1000 * (gpu as u32 + 1);
        let maps = |policy: &str, node: usize| {
            format!("7f0000000000 {policy} anon=25600 N{node}=25600 kernelpagesize_kB=4\n")
        };
        tree.process(&Process {
            pid,
            ppid: 500,
            threads: &[(24 * of.node as u32, of.cpus)],
            numa_maps: Some(&maps(of.policy, of.node)),
            ..PLACED
        });
        tree.variables(
            pid,
            &[
                &format!("LOCAL_RANK={gpu}"),
                &format!("RANK={gpu}"),
                "MASTER_PORT=29500",
            ],
        );
        tree.listed(gpu, pid, "compute", 1 << 30);
        for worker in 1..=of.workers {
            tree.process(&Process {
                pid: pid + worker,
                ppid: pid,
                name: "pt_data_worker",
                threads: &[(24 * of.worker_node as u32, of.worker_cpus)],
                numa_maps: Some(&maps(of.policy, of.worker_node)),
                ..PLACED
            });
        }
    }
    tree
}
