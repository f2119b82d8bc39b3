//! Other people's machines: recorded /sys trees from a folder beside the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::peers::{Compared, numbers};
use crate::support::passed_over;

/// The trees; `None` where they are not beside this checkout.
fn machines() -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/machines");
    let Ok(entries) = fs::read_dir(&folder) else {
        passed_over("no trees of other machines beside this checkout");
        return None;
    };
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Some(found)
}

fn topology(tree: &Path) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_numa-audit"));
    let output = command
        .args(["topology", "--json", "--snapshot"])
        .arg(tree)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_tree_has_the_topology_that_other_tools_report() {
    let Some(machines) = machines() else { return };
    for machine in machines {
        let name = machine.file_name().unwrap().to_str().unwrap();
        let expected: Value =
            serde_json::from_slice(&fs::read(machine.join("expected.json")).unwrap()).unwrap();
        let ours = topology(&machine.join("slim.tar.gz"));
        let mut compared = Compared::default();
        nodes(&ours, &expected, &mut compared);
        devices(&ours, &expected, &mut compared);
        compared.all_agree(name, &["the tree"]);
    }
}

fn nodes(ours: &Value, expected: &Value, compared: &mut Compared) {
    let quirks = expected["quirks"].to_string();
    let of = |document: &Value| document.as_array().unwrap().clone();
    let (nodes, theirs) = (of(&ours["topology"]["nodes"]), of(&expected["nodes"]));
    let ids = |nodes: &[Value]| {
        nodes
            .iter()
            .map(|node| node["id"].clone())
            .collect::<Vec<_>>()
    };
    compared.fact("the tree", "nodes", ids(&nodes), ids(&theirs));
    for (node, theirs) in nodes.iter().zip(&theirs) {
        let id = &node["id"];
        let cpus = |node: &Value| numbers(node["cpus"].as_str().unwrap());
        compared.fact(
            "the tree",
            &format!("CPUs of node {id}"),
            cpus(node),
            cpus(theirs),
        );
        let kib = node["memory_total_bytes"]
            .as_u64()
            .map(|bytes| Value::from(bytes / 1024));
        let kib = kib.unwrap_or_default();
        compared.fact(
            "the tree",
            &format!("memory of node {id}"),
            &kib,
            &theirs["mem_total_kb"],
        );
        // A row of the wrong length gives no distance.
        if quirks.contains("distance rows") {
            assert_eq!(node["distances"], Value::Null);
            continue;
        }
        let Some(row) = theirs["distances"].as_array() else {
            assert_eq!(node["distances"], Value::Null);
            continue;
        };
        for (column, to) in ids(&of(&expected["nodes"])).iter().enumerate() {
            let ours = &node["distances"][to.to_string()];
            compared.fact(
                "the tree",
                &format!("distance of {id} and {to}"),
                ours,
                &row[column],
            );
        }
    }
}

/// GPUs and the devices of the classes that are shown.
fn devices(ours: &Value, expected: &Value, compared: &mut Compared) {
    const SHOWN: &[&str] = &["0x01", "0x02", "0x03", "0x12"];
    let topology = &ours["topology"];
    let node_of = |address: &str| {
        let device = topology["devices"]
            .as_array()
            .unwrap()
            .iter()
            .find(|device| device["pci_bus_id"] == address);
        let gpu = || {
            topology["gpus"]
                .as_array()
                .unwrap()
                .iter()
                .find(|gpu| gpu["pci_bus_id"] == address)
        };
        let by_sysfs = |gpu: &Value| match gpu["home_source"].as_str() {
            Some("sysfs") => gpu["home_nodes"][0].clone(),
            _ => Value::Null,
        };
        device
            .map(|device| device["node"].clone())
            .or_else(|| gpu().map(by_sysfs))
    };
    for device in expected["pci"].as_array().unwrap() {
        if !SHOWN
            .iter()
            .any(|class| device["class"].as_str().unwrap().starts_with(class))
        {
            continue;
        }
        let address = device["bdf"].as_str().unwrap();
        // -1 says that the kernel does not know.
        let theirs = Some(&device["numa_node"])
            .filter(|node| **node != -1)
            .cloned();
        compared.fact(
            "the tree",
            &format!("node of {address}"),
            node_of(address),
            Some(theirs.unwrap_or_default()),
        );
    }
}

fn machine(name: &str) -> Option<Value> {
    let machines = machines()?;
    let folder = machines.iter().find(|path| path.ends_with(name)).unwrap();
    Some(topology(&folder.join("slim.tar.gz")))
}

fn gpu_homes(topology: &Value) -> Vec<&Value> {
    let gpus = topology["topology"]["gpus"].as_array().unwrap();
    gpus.iter().map(|gpu| &gpu["home_nodes"]).collect()
}

#[test]
fn sixteen_gpus_are_found_without_a_driver() {
    let Some(dgx2) = machine("dgx2") else { return };
    let homes = gpu_homes(&dgx2);
    assert_eq!(homes.len(), 16, "the NVSwitches are no GPUs");
    assert!(
        homes[..8]
            .iter()
            .all(|home| **home == serde_json::json!([0]))
    );
    assert!(
        homes[8..]
            .iter()
            .all(|home| **home == serde_json::json!([1]))
    );
}

#[test]
fn the_memory_nodes_of_gpus_are_known() {
    let Some(power9) = machine("power9-v100") else {
        return;
    };
    let gpus = power9["topology"]["gpus"].as_array().unwrap();
    let own: Vec<&Value> = gpus.iter().map(|gpu| &gpu["own_memory_nodes"][0]).collect();
    assert_eq!(own.len(), 6);
    assert!(
        own.iter()
            .all(|node| node.as_u64().is_some_and(|node| (250..256).contains(&node))),
        "{own:?}"
    );
    assert!(
        gpu_homes(&power9)
            .iter()
            .all(|home| **home == serde_json::json!([])),
        "no numa_node file, no guess"
    );
}

#[test]
fn the_vga_of_a_board_is_not_a_gpu() {
    for name in ["dell-2n-pci", "corona-8gpu"] {
        let Some(machine) = machine(name) else { return };
        assert_eq!(machine["topology"]["gpus"], serde_json::json!([]), "{name}");
    }
}

#[test]
fn a_kernel_without_numa_has_no_nodes() {
    let Some(arm) = machine("arm-no-numa") else {
        return;
    };
    assert_eq!(arm["topology"]["nodes"], serde_json::json!([]));
    let gaps = arm["incomplete"].as_array().unwrap().iter();
    let gaps: Vec<&Value> = gaps.map(|gap| &gap["what"]).collect();
    assert_eq!(gaps, ["NUMA nodes", "NVIDIA driver"]);
}
