//! cpuset-excludes-gpu.

use snapbox::{assert_data_eq, str};

use super::{gaps, silent, told};
use crate::machine::{PLACED, Process, Tree, with_trainer};

fn confined(group: &str, cpus: &str, mems: &str) -> Tree {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.confine(100, group, cpus, mems);
    let status = format!("Uid:\t7\t7\t7\t7\nCpus_allowed_list:\t2-3\nMems_allowed_list:\t{mems}\n");
    tree.file("proc/100/status", &status);
    tree
}

#[test]
fn cpuset_excludes_gpu_is_raised() {
    let tree = confined("/slurm/uid_7/job_42/step_0", "2-3", "1");
    assert_data_eq!(
        told(&tree, "cpuset-excludes-gpu"),
        str![[r#"
error[cpuset-excludes-gpu]: GPU 0 is attached to node 0, but the cpuset of trainer 100 allows only
  CPUs of node 1 and only memory of node 1
  fix: the cpuset must allow node 0: request CPUs there for Slurm job 42 (sbatch
    --gres-flags=enforce-binding)
{"commands":[],"evidence":{"cpuset_nodes":[1],"home_nodes":[0],"mems_allowed":[1]},"gpu":0,"gpus":[0],"message":"GPU 0 is attached to node 0, but the cpuset of trainer 100 allows only CPUs of node 1 and only memory of node 1","pids":[100],"remedy":"the cpuset must allow node 0: request CPUs there for Slurm job 42 (sbatch --gres-flags=enforce-binding)","rule":"cpuset-excludes-gpu","severity":"error"}

"#]]
    );
}

#[test]
fn cpuset_excludes_gpu_names_the_tool_that_made_the_cpuset() {
    let pod = "/kubepods.slice/kubepods-pod11111111_2222_3333_4444_555555555555.slice";
    let container = format!("/docker/{}", "a1".repeat(32));
    for (group, words) in [
        (pod, "topology manager policy single-numa-node"),
        (&container, "--cpuset-cpus and --cpuset-mems"),
        ("/lab", "cpuset.cpus and cpuset.mems of the control group"),
    ] {
        let document = confined(group, "2-3", "0-1").audit(&["--json"]).json();
        let finding = crate::program::finding(&document, "cpuset-excludes-gpu");
        let remedy = finding["remedy"].as_str().unwrap();
        assert!(remedy.contains(words), "{remedy}");
    }
}

/// Different jobs need different people to fix it.
#[test]
fn cpuset_excludes_gpu_is_one_finding_for_each_job() {
    let mut tree = confined("/slurm/uid_7/job_42/step_0", "2-3", "1");
    tree.trainer(&Process {
        pid: 200,
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.confine(200, "/slurm/uid_7/job_43/step_0", "2-3", "1");
    let told = told(&tree, "cpuset-excludes-gpu");
    assert!(
        told.contains("Slurm job 42") && told.contains("Slurm job 43"),
        "{told}"
    );
}

#[test]
fn cpuset_excludes_gpu_is_not_raised_once_fixed() {
    silent(&confined("/lab", "0-3", "0-1"), "cpuset-excludes-gpu");
}

#[test]
fn cpuset_excludes_gpu_is_not_raised_without_the_fact() {
    // Without a cgroup file system the report says that it may run on node 1 only, not what limits it.
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.file("proc/100/cgroup", "0::/lab\n");
    silent(&tree, "cpuset-excludes-gpu");
    assert_eq!(gaps(&tree), [""; 0]);
    tree.file("sys/fs/cgroup/lab/cpuset.cpus.effective", "nonsense\n");
    silent(&tree, "cpuset-excludes-gpu");
    assert_eq!(gaps(&tree), ["100 cpuset"]);
}

/// Unknown CPUs of a node are not CPUs that the group lacks, and no sentence has an empty list.
#[test]
fn cpuset_excludes_gpu_with_a_node_is_not_raised_without_the_fact() {
    let tree = confined("/lab", "2-3", "0-1");
    tree.file("sys/devices/system/node/node1/cpulist", "nonsense\n");
    silent(&tree, "cpuset-excludes-gpu");
    let document = tree.audit(&["--json"]).json();
    assert!(document["processes"][0]["cpu"]["cpuset_nodes"].is_null());
    assert!(gaps(&tree).contains(&"null CPUs of node 1".to_owned()));
}
