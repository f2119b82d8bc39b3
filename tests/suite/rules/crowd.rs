//! cpus-crowded, node-crowded, node-without-gpus.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told};
use crate::machine::{PLACED, Process, Tree};

/// A trainer on node 0, which has the CPUs 0-7, and this many workers on each of these masks.
fn workers(trainer: &str, masks: &[(u32, &str)]) -> Tree {
    let mut tree = Tree::new();
    tree.nodes(&[("0-7", 0), ("8-15", 1)]);
    tree.trainer(&Process {
        threads: &[(0, trainer)],
        ..PLACED
    });
    let mut pid = 100;
    for (count, cpus) in masks {
        for _ in 0..*count {
            pid += 10;
            tree.process(&Process {
                pid,
                ppid: 100,
                name: "pt_data_worker",
                threads: &[(0, cpus)],
                ..PLACED
            });
        }
    }
    tree
}

#[test]
fn cpus_crowded_is_raised() {
    let tree = workers("0-7", &[(3, "0-1")]);
    assert_data_eq!(
        told(&tree, "cpus-crowded"),
        str![[r#"
warning[cpus-crowded]: 3 workers share only 2 CPUs (0-1)
  fix: remove the setting that restricts the CPUs (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a
    worker_init_fn, taskset), or start fewer workers
  run now: for pid in 110 120 130; do taskset -a -p -c 0-7 $pid; done
  note: memory that is already allocated stays where it is
{"commands":["for pid in 110 120 130; do taskset -a -p -c 0-7 $pid; done"],"evidence":{"affinity":"0-1","cpu_count":2,"most_processes_sharing":3,"processes":3},"gpu":0,"gpus":[0],"message":"3 workers share only 2 CPUs (0-1)","note":"memory that is already allocated stays where it is","pids":[110,120,130],"remedy":"remove the setting that restricts the CPUs (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a worker_init_fn, taskset), or start fewer workers; memory that is already allocated stays where it is","rule":"cpus-crowded","severity":"warning"}

"#]]
    );
}

#[test]
fn cpus_crowded_by_single_cpu_masks() {
    let tree = workers("0-7", &[(2, "0"), (3, "1"), (1, "2")]);
    assert_data_eq!(
        told(&tree, "cpus-crowded"),
        str![[r#"
warning[cpus-crowded]: 5 workers share only 2 CPUs (0-1); up to 3 of them share one CPU
  fix: remove the setting that restricts the CPUs (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a
    worker_init_fn, taskset), or start fewer workers
  run now: for pid in 110 120 130 140 150; do taskset -a -p -c 0-7 $pid; done
  note: memory that is already allocated stays where it is
{"commands":["for pid in 110 120 130 140 150; do taskset -a -p -c 0-7 $pid; done"],"evidence":{"affinity":"0-1","cpu_count":2,"most_processes_sharing":3,"processes":5},"gpu":0,"gpus":[0],"message":"5 workers share only 2 CPUs (0-1); up to 3 of them share one CPU","note":"memory that is already allocated stays where it is","pids":[110,120,130,140,150],"remedy":"remove the setting that restricts the CPUs (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a worker_init_fn, taskset), or start fewer workers; memory that is already allocated stays where it is","rule":"cpus-crowded","severity":"warning"}

"#]]
    );
    // One CPU for each worker is intended.
    silent(&workers("0-7", &[(1, "1"), (1, "2")]), "cpus-crowded");
}

#[test]
fn cpus_crowded_by_a_trainer_alone() {
    assert_data_eq!(
        told(&workers("3", &[]), "cpus-crowded"),
        str![[r#"
warning[cpus-crowded]: trainer 100 may run on only one CPU (CPU 3)
  fix: remove the setting that restricts the CPUs (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a
    worker_init_fn, taskset), or start fewer workers
  run now: taskset -a -p -c 0-7 100
  note: memory that is already allocated stays where it is
{"commands":["taskset -a -p -c 0-7 100"],"evidence":{"affinity":"3","cpu_count":1,"most_processes_sharing":1,"processes":1},"gpu":0,"gpus":[0],"message":"trainer 100 may run on only one CPU (CPU 3)","note":"memory that is already allocated stays where it is","pids":[100],"remedy":"remove the setting that restricts the CPUs (OMP_PROC_BIND, GOMP_CPU_AFFINITY, KMP_AFFINITY, a worker_init_fn, taskset), or start fewer workers; memory that is already allocated stays where it is","rule":"cpus-crowded","severity":"warning"}

"#]]
    );
}

/// Slurm's --cpus-per-task: the control group has no other CPU.
#[test]
fn cpus_crowded_within_a_control_group() {
    let tree = workers("0-1", &[(3, "0-1")]);
    for pid in [100, 110, 120, 130] {
        tree.confine(pid, "/slurm/job_7/step_0", "0-1", "0");
    }
    assert_data_eq!(
        told(&tree, "cpus-crowded"),
        str![[r#"
warning[cpus-crowded]: trainer 100 and 3 workers share only 2 CPUs (0-1)
  fix: start fewer workers, or request more CPUs (srun or sbatch --cpus-per-task): the cpuset has no
    more CPUs
{"commands":[],"evidence":{"affinity":"0-1","cpu_count":2,"most_processes_sharing":4,"processes":4},"gpu":0,"gpus":[0],"message":"trainer 100 and 3 workers share only 2 CPUs (0-1)","pids":[100,110,120,130],"remedy":"start fewer workers, or request more CPUs (srun or sbatch --cpus-per-task): the cpuset has no more CPUs","rule":"cpus-crowded","severity":"warning"}

"#]]
    );
}

#[test]
fn cpus_crowded_is_not_raised_once_fixed() {
    silent(&workers("0-7", &[(3, "0-7")]), "cpus-crowded");
    // The number that PyTorch recommends.
    silent(&workers("0-3", &[(4, "0-3")]), "cpus-crowded");
}

#[test]
fn cpus_crowded_is_not_raised_without_the_fact() {
    let tree = workers("0-7", &[(3, "0-1")]);
    for pid in [110, 120, 130] {
        tree.file(&format!("proc/{pid}/status"), "nonsense\n");
    }
    silent(&tree, "cpus-crowded");
    assert_eq!(gaps(&tree), ["110 status", "120 status", "130 status"]);
}

#[test]
fn node_crowded_is_raised() {
    let tree = workers("0-15", &[(8, "0-15")]);
    assert_data_eq!(
        told(&tree, "node-crowded"),
        str![[r#"
info[node-crowded]: trainer 100 and 8 workers belong on node 0, which has 8 CPUs: binding all may
  slow them down
{"commands":[],"evidence":{"cpu_count":8,"nodes":[0],"processes":9},"gpu":0,"gpus":[0],"message":"trainer 100 and 8 workers belong on node 0, which has 8 CPUs: binding all may slow them down","pids":[],"remedy":"start fewer workers before you bind them, or bind to the socket","rule":"node-crowded","severity":"info"}

"#]]
    );
}

#[test]
fn node_crowded_already() {
    let tree = workers("0-7", &[(8, "0-7")]);
    assert_data_eq!(
        told(&tree, "node-crowded"),
        str![[r#"
info[node-crowded]: trainer 100 and 8 workers are bound to node 0, which has 8 CPUs: they wait for
  each other when all are busy
{"commands":[],"evidence":{"cpu_count":8,"nodes":[0],"processes":9},"gpu":0,"gpus":[0],"message":"trainer 100 and 8 workers are bound to node 0, which has 8 CPUs: they wait for each other when all are busy","pids":[],"remedy":"start fewer workers, or bind to the socket","rule":"node-crowded","severity":"info"}

"#]]
    );
}

#[test]
fn node_crowded_is_not_raised_once_fixed() {
    silent(&workers("0-15", &[(7, "0-15")]), "node-crowded");
}

#[test]
fn node_crowded_is_not_raised_without_the_fact() {
    let tree = workers("0-15", &[(8, "0-15")]);
    tree.numa_node("-1\n");
    silent(&tree, "node-crowded");
    assert_eq!(gaps(&tree), ["null home node of GPU 0"]);
}

#[test]
fn node_without_gpus_is_raised() {
    assert_data_eq!(
        told(&Tree::new(), "node-without-gpus"),
        str![[r#"
info[node-without-gpus]: no GPU is attached to node 1: binding every rank to its GPU's node leaves
  the CPUs of node 1 unused
{"commands":[],"evidence":{"nodes":[1]},"gpu":null,"gpus":[],"message":"no GPU is attached to node 1: binding every rank to its GPU's node leaves the CPUs of node 1 unused","pids":[],"remedy":"choose the number of workers by the CPUs of the other nodes","rule":"node-without-gpus","severity":"info"}

"#]]
    );
}

#[test]
fn node_without_gpus_is_not_raised_once_fixed() {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1C.0", "1\n");
    silent(&tree, "node-without-gpus");
}

#[test]
fn node_without_gpus_is_not_raised_without_the_fact() {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1C.0", "-1\n");
    silent(&tree, "node-without-gpus");
    let gaps = gaps(&tree);
    assert!(gaps.contains(&"null home node of GPU 1".into()), "{gaps:?}");
}

/// A process whose control group has none of the node's CPUs cannot be moved there: no command is printed for it.
#[test]
fn cpus_crowded_in_part_by_a_control_group() {
    let tree = workers("0-7", &[(3, "0-1"), (3, "8-9")]);
    for pid in [140, 150, 160] {
        tree.confine(pid, "/apart", "8-9", "0-1");
    }
    let run = tree.audit(&["--remedies", "--allow", "cpu-remote,worker-split"]);
    let commands: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.contains("taskset -a"))
        .collect();
    assert_eq!(
        commands,
        ["for pid in 110 120 130; do taskset -a -p -c 0-7 $pid; done"],
        "{}",
        run.stdout
    );
}
