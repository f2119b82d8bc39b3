//! What starts as planned is placed well, on random machines.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::machine::Process;
use crate::program::of_role;

/// Few: each starts the program twice.
const CASES: u32 = 24;

#[derive(Debug, Clone)]
struct Made {
    /// The cores of each node.
    cores: Vec<u32>,
    /// The node of each GPU.
    gpus: Vec<usize>,
    workers: u32,
    exclusive: bool,
    /// Reserves the first CPU.
    reserve: bool,
}

fn machines() -> impl Strategy<Value = Made> {
    let homes = proptest::collection::vec(any::<prop::sample::Index>(), 1..5);
    let cores = proptest::collection::vec(1..5_u32, 2..4);
    (cores, homes, 0..4_u32, any::<bool>(), any::<bool>()).prop_map(
        |(cores, homes, workers, exclusive, reserve)| Made {
            gpus: homes.iter().map(|home| home.index(cores.len())).collect(),
            cores,
            workers,
            exclusive,
            reserve,
        },
    )
}

impl Made {
    /// The tree, with two hardware threads a core: CPUs n and n + all cores.
    fn tree(&self) -> Tree {
        let mut tree = Tree::new();
        let total: u32 = self.cores.iter().sum();
        let mut first = 0;
        let mut lists = Vec::new();
        for (count, package) in self.cores.iter().zip(0..) {
            let last = first + count - 1;
            lists.push((
                format!("{first}-{last},{}-{}", first + total, last + total),
                package,
            ));
            first += count;
        }
        let nodes: Vec<(&str, u32)> = lists
            .iter()
            .map(|(cpus, package)| (cpus.as_str(), *package))
            .collect();
        tree.nodes(&nodes);
        for cpu in 0..2 * total {
            let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            tree.file(&file, &format!("{},{}\n", cpu % total, cpu % total + total));
        }
        tree.numa_node(&format!("{}\n", self.gpus[0]));
        for (index, node) in self.gpus.iter().enumerate().skip(1) {
            tree.gpu(&format!("0000:{index:02x}:00.0"), &format!("{node}\n"));
        }
        tree
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "plan".to_owned(),
            format!("--workers={}", self.workers),
            "--format=json".to_owned(),
        ];
        arguments.extend(self.exclusive.then(|| "--exclusive".to_owned()));
        arguments.extend(self.reserve.then(|| "--reserve=0".to_owned()));
        arguments
    }
}

/// A process that is where the plan has it.
fn start(tree: &Tree, pid: u32, ppid: u32, rank: &Value, cpus: &str) {
    let first = cpus.split([',', '-']).next().unwrap().parse().unwrap();
    let node = &rank["memory_nodes"][0];
    tree.process(&Process {
        pid,
        ppid,
        name: "python3",
        command: "python3\0train.py\0",
        threads: &[(first, cpus)],
        numa_maps: Some(&format!(
            "7f0000000000 bind:{node} anon=25600 N{node}=25600 kernelpagesize_kB=4\n"
        )),
    });
    let status = format!("Uid:\t7\t7\t7\t7\nCpus_allowed_list:\t{cpus}\nMems_allowed_list:\t0-7\n");
    tree.file(&format!("proc/{pid}/status"), &status);
    tree.file(&format!("proc/{pid}/task/{pid}/status"), &status);
}

#[test]
fn every_rank_that_starts_as_planned_is_ok() {
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        ..Config::default()
    });
    let (judged, exclusive) = (Cell::new(0), Cell::new(0));
    let result = runner.run(&machines(), |made| {
        let mut tree = made.tree();
        let arguments = made.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let run = tree.audit(&arguments);
        if run.code == Some(1) {
            // Fewer cores than ranks, or no CPU but the reserved one.
            return Ok(());
        }
        let plan = run.json();
        let ranks = plan["ranks"].as_array().unwrap();
        for (rank, pid) in ranks.iter().zip((100..).step_by(20)) {
            start(&tree, pid, 1, rank, rank["cpus"].as_str().unwrap());
            tree.listed(
                usize::try_from(rank["gpu"].as_u64().unwrap()).unwrap(),
                pid,
                "compute",
                1 << 30,
            );
            for worker in 0..made.workers {
                start(
                    &tree,
                    pid + 1 + worker,
                    pid,
                    rank,
                    rank["worker_cpus"].as_str().unwrap(),
                );
            }
        }
        let audit = tree.audit(&["--json"]).json();
        let is_crowded = plan["notes"].to_string().contains("busy process");
        for process in of_role(&audit, "trainer")
            .into_iter()
            .chain(of_role(&audit, "worker"))
        {
            // At risk is what a note has warned of.
            let expected = if is_crowded {
                &["ok", "at-risk"][..]
            } else {
                &["ok"]
            };
            let verdict = process["verdict"].as_str().unwrap();
            prop_assert!(expected.contains(&verdict), "{process:#} of {plan:#}");
            judged.set(judged.get() + u32::from(!is_crowded));
        }
        prop_assert_eq!(of_role(&audit, "trainer").len(), ranks.len());
        exclusive.set(exclusive.get() + u32::from(made.exclusive));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let (judged, exclusive) = (judged.get(), exclusive.get());
    assert!(
        judged > CASES / 2 && exclusive > 0,
        "only {judged} processes that must be ok"
    );
}
