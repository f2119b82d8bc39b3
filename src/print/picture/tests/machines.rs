//! Made-up machines and processes, as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::document::{self, Document};

/// A machine with so many nodes, some of them in one socket, with its GPUs by home nodes.
pub(super) fn machine(nodes: u32, per_socket: u32, homes: &[Vec<u32>]) -> Value {
    let node = |id: u32| {
        let distance = |to: u32| (to.to_string(), if to == id { 10 } else { 21 });
        let distances: BTreeMap<String, u32> = (0..nodes).map(distance).collect();
        json!({
            "id": id, "cpus": format!("{}-{}", id * 8, id * 8 + 7), "package": id / per_socket,
            "memory_total_bytes": 1u64 << 36, "memory_free_bytes": 1 << 30, "distances": distances,
        })
    };
    let gpu = |(index, home): (usize, &Vec<u32>)| {
        json!({
            "index": index, "name": "NVIDIA H100 80GB HBM3", "pci_bus_id": null, "home_nodes": home, "home_source": "sysfs",
            "local_nodes": home, "local_memory_nodes": home, "in_scope": true, "processes_known": index % 5 != 4,
        })
    };
    json!({
        "schema_version": 1,
        "host": {"hostname": "gpu-07", "recorded_at": "2026-11-29T12:00:00Z", "source": "live"},
        "topology": {
            "nodes": (0..nodes).map(node).collect::<Vec<_>>(),
            "gpus": homes.iter().enumerate().map(gpu).collect::<Vec<_>>(),
        },
    })
}

/// A process of these GPUs that runs on one node and has its memory on another.
pub(super) fn process(
    pid: usize,
    role: &str,
    gpus: &[usize],
    local: &[u32],
    at: Option<u32>,
    memory: Option<u32>,
) -> Value {
    let verdict = |node: Option<u32>| match node {
        None => "unknown",
        Some(_) if local.is_empty() => "unknown",
        Some(node) if local.contains(&node) => "ok",
        Some(_) => "mismatch",
    };
    let both = [verdict(at), verdict(memory)];
    let worst = ["mismatch", "unknown", "ok"]
        .into_iter()
        .find(|word| both.contains(word));
    let bytes = memory.map(|node| json!({ node.to_string(): (1u64 << 20) * (pid as u64 + 1) }));
    json!({
        "pid": pid, "name": "python3", "role": role, "gpus": gpus, "home_nodes": local, "local_nodes": local,
        "local_memory_nodes": local, "verdict": worst,
        "cpu": {"node": at, "affinity_nodes": at.iter().collect::<Vec<_>>(), "verdict": both[0]},
        "memory": {"by_node_bytes": bytes, "verdict": both[1]},
    })
}

pub(super) fn with_processes(mut machine: Value, processes: Vec<Value>) -> Document {
    let count = |word: &str| processes.iter().filter(|of| of["verdict"] == word).count();
    let worst = ["mismatch", "unknown", "ok"]
        .into_iter()
        .find(|word| count(word) > 0);
    machine["summary"] = json!({
        "verdict": worst.unwrap_or("ok"), "processes": processes.len(), "ok": count("ok"), "at_risk": 0,
        "mismatch": count("mismatch"), "unknown": count("unknown"), "complete": true,
    });
    machine["processes"] = processes.into();
    document::read(machine.to_string().as_bytes()).unwrap()
}
