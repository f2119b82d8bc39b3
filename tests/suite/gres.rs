//! `topology --gres`: Slurm's gres.conf. tests/slurm compares it with slurmd and hwloc.

use snapbox::str;

use crate::machine::Tree;
use crate::program::{replay, run};

/// A machine of two sockets whose cores have two threads: CPUs 0 and 1, and 2 and 3.
fn machine() -> Tree {
    let tree = Tree::new();
    for cpu in 0..4 {
        let siblings = if cpu < 2 { "0-1\n" } else { "2-3\n" };
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        tree.file(&format!("{folder}/thread_siblings_list"), siblings);
        tree.file(
            &format!("{folder}/physical_package_id"),
            &format!("{}\n", cpu / 2),
        );
    }
    tree
}

/// The lines that are no comments, and those about GPUs.
fn gres(tree: &Tree, arguments: &[&str]) -> Vec<String> {
    let run = tree.audit(&[&["topology", "--gres"], arguments].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let lines = run.stdout.lines();
    let lines = lines.filter(|line| !line.starts_with('#') || line.starts_with("# GPU"));
    lines.map(str::to_owned).collect()
}

#[test]
fn each_gpu_has_the_cores_of_its_node() {
    let run = replay("p4d-bound", &["topology", "--gres=n[1-2]"]);
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r##"
# gres.conf for numa-vm, made by numa-audit topology --gres
# Cores= are logical numbers, as of lstopo -l: 4 cores, in the order of their 2 sockets.
# Assumed: slurm.conf has the sockets and cores of `slurmd -C`, or NUMA nodes as sockets (numa_node_as_socket).
# With l3cache_as_socket compare with lstopo -l.
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia0 Cores=0-1
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia1 Cores=0-1
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia2 Cores=0-1
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia3 Cores=0-1
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia4 Cores=2-3
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia5 Cores=2-3
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia6 Cores=2-3
NodeName=n[1-2] Name=gpu Type=nvidia_a100-sxm4-40gb File=/dev/nvidia7 Cores=2-3
# In slurm.conf: GresTypes=gpu, and on the node's line Gres=gpu:nvidia_a100-sxm4-40gb:8

"##]]
    );
}

#[test]
fn what_is_unknown_is_a_comment() {
    let tree = machine();
    let known = ["Name=gpu Type=nvidia_a100 File=/dev/nvidia0 Cores=0"];
    assert_eq!(gres(&tree, &[]), known);
    tree.numa_node("-1\n");
    let about = "# GPU 0 (NVIDIA A100, 0000:10:1c.0): ";
    assert_eq!(
        gres(&tree, &[]),
        [format!(
            "{about}its NUMA node is unknown (--gpu-node sets it)"
        )]
    );
    let given = ["Name=gpu Type=nvidia_a100 File=/dev/nvidia0 Cores=1"];
    assert_eq!(gres(&tree, &["--gpu-node", "0=1"]), given);
    let file = tree
        .folder
        .path()
        .join("sys/devices/system/cpu/cpu2/topology/thread_siblings_list");
    std::fs::write(file, "0-1\n").unwrap();
    assert_eq!(
        gres(&tree, &["--gpu-node", "0=1"]),
        [format!("{about}the cores of this machine are unknown")]
    );
}

#[test]
fn sockets_of_different_sizes_are_said() {
    let tree = machine();
    tree.file(
        "sys/devices/system/cpu/cpu1/topology/thread_siblings_list",
        "1\n",
    );
    tree.file(
        "sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
        "0\n",
    );
    let run = tree.audit(&["topology", "--gres"]);
    assert!(
        run.stdout
            .contains("# The sockets have different numbers of cores"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("File=/dev/nvidia0 Cores=0-1\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn names_of_nodes_are_one_word() {
    for nodes in ["a b", "n1\nInclude=/x", "n1#"] {
        let run = run(["topology", &format!("--gres={nodes}")]);
        assert_eq!(run.code, Some(2), "{nodes:?}");
    }
}

#[test]
fn an_audit_lists_no_cores() {
    let topology = |arguments: &[&str]| replay("p4d-bound", arguments).json()["topology"].clone();
    assert!(topology(&["--json"]).get("cores").is_none());
    let map = topology(&["topology", "--json"]);
    assert_eq!(map["cores"].as_array().unwrap().len(), 4);
    assert_eq!(map["gpus"][7]["device_file"], "/dev/nvidia7");
}
