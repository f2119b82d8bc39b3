//! The nodes that a GPU is attached to, and the sources that say so.

use serde_json::{Value, json};

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::{about_processes, finding};

#[test]
fn minus_one_on_two_nodes_is_unknown_and_not_node_zero() {
    let tree = with_trainer(&PLACED);
    tree.numa_node("-1\n");
    let document = tree.judges("unknown", "unknown", 3);
    assert_eq!(document["topology"]["gpus"][0]["home_nodes"], json!([]));
    assert_eq!(document["topology"]["gpus"][0]["home_source"], "unknown");
    assert_eq!(about_processes(&document), [&json!(null); 0]);
    assert_eq!(document["incomplete"][0]["what"], "home node of GPU 0");
}

/// The home nodes of GPU 0 with their source, where the kernel says -1.
#[track_caller]
fn home(tree: &Tree, arguments: &[&str]) -> (Value, Value) {
    let document = tree.audit(&[arguments, &["--json"]].concat()).json();
    let gpu = &document["topology"]["gpus"][0];
    (gpu["home_nodes"].clone(), gpu["home_source"].clone())
}

#[test]
fn each_source_answers_where_those_before_it_do_not() {
    let mut tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.numa_node("-1\n");
    assert_eq!(home(&tree, &[]), (json!([]), json!("unknown")));
    tree.affinity = [Some("2-3"), None];
    assert_eq!(home(&tree, &[]), (json!([1]), json!("nvml-cpu-affinity")));
    tree.affinity = [Some("0-3"), Some("1")];
    assert_eq!(
        home(&tree, &[]),
        (json!([1]), json!("nvml-memory-affinity"))
    );
    tree.move_below_bridge("1\n");
    assert_eq!(home(&tree, &[]), (json!([1]), json!("pci-parent")));
    tree.numa_node_below_bridge("1\n");
    assert_eq!(home(&tree, &[]), (json!([1]), json!("sysfs")));
    let file = tree.folder.path().join("topology.xml");
    let xml =
        "<system version=\"1\"><cpu numaid=\"0\"><pci busid=\"0000:10:1c.0\"/></cpu></system>";
    std::fs::write(&file, xml).unwrap();
    let given = ["--topology", file.to_str().unwrap()];
    assert_eq!(home(&tree, &given), (json!([0]), json!("topology-file")));
    let typed = [&given[..], &["--gpu-node", "0=0-1"]].concat();
    assert_eq!(home(&tree, &typed), (json!([0, 1]), json!("override")));
    let typed = ["--gpu-node", "GPU-0a=1", "--gpu-node", "10:1c.0=1"];
    assert_eq!(home(&tree, &typed), (json!([1]), json!("override")));
}

#[test]
fn a_source_that_names_several_nodes_is_not_used() {
    let mut tree = with_trainer(&PLACED);
    tree.numa_node("-1\n");
    tree.affinity = [Some("0-3"), Some("0-1")];
    let document = tree.judges("unknown", "unknown", 3);
    let reason = document["incomplete"][0]["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        "ambiguous: nvml-memory-affinity names several nodes (0-1), nvml-cpu-affinity names several nodes (0-1); set it \
         with --gpu-node or --topology"
    );
}

#[test]
fn sources_that_disagree_are_reported() {
    let mut tree = with_trainer(&PLACED);
    tree.affinity = [Some("2-3"), Some("0")];
    let document = tree.judges("ok", "ok", 0);
    let finding = finding(&document, "sources-disagree");
    assert_eq!(
        finding["message"],
        "the sources for the home node of GPU 0 disagree: sysfs says node 0 and is used, but nvml-cpu-affinity says node 1"
    );
    let table = tree.audit(&[]).stdout;
    assert!(
        table.contains("\nwarning[sources-disagree]: the sources for the home node of GPU 0"),
        "{table}"
    );
}

#[test]
fn invalid_topology_files_and_gpu_nodes_are_refused() {
    let tree = with_trainer(&PLACED);
    let file = tree.folder.path().join("topology.xml");
    std::fs::write(&file, "<html/>").unwrap();
    tree.audit(&["--topology", file.to_str().unwrap()]).fails_with(&format!(
        "cannot use the topology file {}: <html> is neither NCCL's <system> nor hwloc's <topology>",
        file.display()
    ));
    tree.audit(&["--topology", "/dev/zero"]).fails_with(
        "cannot use the topology file /dev/zero: it is not a regular file of at most 16 MiB",
    );
    tree.audit(&["--gpu-node", "7=0"])
        .fails_with("no GPU \"7\": there are 0");
    for typed in ["0", "0=", "=0", "0=x", "0=0-"] {
        assert_eq!(tree.audit(&["--gpu-node", typed]).code, Some(2), "{typed}");
    }
}

#[test]
fn for_a_home_node_without_cpus_the_nearest_with_cpus_is_local() {
    let mut tree = with_trainer(&PLACED);
    tree.file("sys/devices/system/node/online", "0-2\n");
    tree.file("sys/devices/system/node/node2/cpulist", "\n");
    for (node, distances) in [(0, "10 21 17"), (1, "21 10 28"), (2, "17 28 10")] {
        tree.file(
            &format!("sys/devices/system/node/node{node}/distance"),
            distances,
        );
    }
    tree.numa_node("2\n");
    tree.affinity = [Some("0-1"), None];
    let document = tree.judges("ok", "ok", 0);
    assert_eq!(
        about_processes(&document),
        [&json!(null); 0],
        "NVML can only name CPUs that are there"
    );
    assert_eq!(document["topology"]["gpus"][0]["home_nodes"], json!([2]));
    assert_eq!(document["topology"]["gpus"][0]["local_nodes"], json!([0]));
}
