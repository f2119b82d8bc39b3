//! Documents of machines of many shapes, larger than those of the fixtures.

use serde_json::{Map, Value, json};

/// A machine of this shape.
struct Shape {
    host: String,
    /// The CPUs of each node; a node without CPUs is memory alone.
    cpus: Vec<u32>,
    /// Nodes of one socket are near each other.
    nodes_of_socket: usize,
    /// The home node of each GPU.
    gpus: Vec<usize>,
    gpu_name: &'static str,
    workers: u32,
    /// Of so many trainers one is on the next node with CPUs. 0: none is.
    astray: usize,
    name: String,
}

impl Shape {
    fn new(host: &str, gpus: Vec<usize>) -> Self {
        Self {
            host: host.to_owned(),
            cpus: vec![48, 48],
            nodes_of_socket: 1,
            gpus,
            gpu_name: "NVIDIA H100 80GB HBM3",
            workers: 4,
            astray: 3,
            name: "python3".to_owned(),
        }
    }

    fn distance(&self, from: usize, to: usize) -> u32 {
        match (
            from == to,
            from / self.nodes_of_socket == to / self.nodes_of_socket,
        ) {
            (true, _) => 10,
            (_, true) => 12,
            _ => 32,
        }
    }

    fn cpu_list(&self, node: usize) -> String {
        let first: u32 = self.cpus[..node].iter().sum();
        match self.cpus[node] {
            0 => String::new(),
            count => format!("{first}-{}", first + count - 1),
        }
    }

    fn node(&self, node: usize) -> Value {
        let all = 0..self.cpus.len();
        let distances: Map<String, Value> = all
            .map(|to| (to.to_string(), self.distance(node, to).into()))
            .collect();
        json!({"id": node, "cpus": self.cpu_list(node), "memory_total_bytes": 512_u64 << 30,
               "memory_free_bytes": 200_u64 << 30, "distances": distances})
    }

    fn gpu(&self, index: usize) -> Value {
        let home = self.gpus[index];
        let near: Vec<usize> = (0..self.cpus.len())
            .filter(|node| *node != home && self.distance(home, *node) == 12)
            .collect();
        json!({"index": index, "name": self.gpu_name, "pci_bus_id": format!("0000:{:02x}:00.0", 16 + index),
               "home_nodes": [home], "home_source": "sysfs", "local_nodes": [home], "local_memory_nodes": [home],
               "near_nodes": near, "processes_known": true, "in_scope": true,
               "memory_total_bytes": 80_u64 << 30, "memory_used_bytes": 60_u64 << 30})
    }

    /// The next node with CPUs.
    fn next(&self, node: usize) -> usize {
        let count = self.cpus.len();
        let mut others = (1..count).map(|step| (node + step) % count);
        others.find(|other| self.cpus[*other] > 0).unwrap_or(node)
    }

    fn is_astray(&self, gpu: usize) -> bool {
        self.astray > 0
            && gpu % self.astray == self.astray - 1
            && self.next(self.gpus[gpu]) != self.gpus[gpu]
    }

    fn process(&self, gpu: usize, worker: Option<u32>) -> Value {
        let home = self.gpus[gpu];
        let on = if self.is_astray(gpu) {
            self.next(home)
        } else {
            home
        };
        let verdict = match self.distance(home, on) {
            10 => "ok",
            12 => "at-risk",
            _ => "mismatch",
        };
        let trainer = 1000 + 100 * u32::try_from(gpu).unwrap();
        let pid = trainer + worker.map_or(0, |worker| worker + 1);
        let role = if worker.is_some() {
            "worker"
        } else {
            "trainer"
        };
        let findings: &[&str] = if verdict == "mismatch" {
            &["cpu-remote", "memory-remote"]
        } else {
            &[]
        };
        json!({
            "pid": pid, "name": self.name, "user": "alice", "role": role, "gpus": [gpu], "gpu_source": "nvml",
            "trainer_pid": trainer, "rank": gpu, "local_rank": gpu, "home_nodes": [home], "local_nodes": [home],
            "local_memory_nodes": [home], "verdict": verdict, "findings": findings, "job": "4711",
            "scheduler_jobs": [{"scheduler": "Slurm", "id": "4711", "source": "cgroup"}],
            "cpu": {"node": on, "affinity": self.cpu_list(on), "affinity_nodes": [on], "bound": on == home, "verdict": verdict},
            "memory": {"node": on, "policy": "bind", "policy_nodes": [on], "mems_allowed": [home, on], "exact": true,
                       "verdict": verdict, "by_node_bytes": {(on.to_string()): 3_u64 << 30},
                       "local_fraction": if on == home { 1.0 } else { 0.0 }},
        })
    }

    fn document(&self) -> Value {
        let gpus = 0..self.gpus.len();
        let crew = |gpu: usize| {
            let workers = (0..self.workers).map(Some);
            std::iter::once(None)
                .chain(workers)
                .map(move |of| (gpu, of))
        };
        let processes: Vec<Value> = gpus
            .clone()
            .flat_map(crew)
            .map(|(gpu, worker)| self.process(gpu, worker))
            .collect();
        let count = |verdict: &str| {
            processes
                .iter()
                .filter(|of| of["verdict"] == verdict)
                .count()
        };
        let worst = ["mismatch", "at-risk"]
            .into_iter()
            .find(|verdict| count(verdict) > 0);
        let wrong: Vec<&Value> = processes
            .iter()
            .filter(|of| of["verdict"] == "mismatch")
            .collect();
        let mut findings = Vec::new();
        for rule in ["cpu-remote", "memory-remote"]
            .iter()
            .filter(|_| !wrong.is_empty())
        {
            let (pids, gpus): (Vec<&Value>, Vec<&Value>) =
                wrong.iter().map(|of| (&of["pid"], &of["gpus"][0])).unzip();
            let mut gpus = gpus;
            gpus.dedup();
            findings.push(json!({
                "rule": rule, "severity": "error", "gpu": gpus[0], "gpus": gpus, "pids": pids,
                "message": format!("{} processes are on another NUMA node than their GPU", pids.len()),
                "evidence": {"cpu_nodes": [0, 1], "remote_bytes": 3_u64 << 30},
                "remedy": "start each rank with numactl --cpunodebind and --membind", "commands": ["taskset -pc 0-47 1200"],
            }));
        }
        json!({
            "schema_version": 1, "tool": {"name": "numa-audit", "version": "0.2.0"},
            "host": {"hostname": self.host, "kernel": "6.8.0", "recorded_at": "2026-11-22T07:00:00Z", "source": "live",
                     "driver_version": "570.133.20"},
            "topology": {"nodes": (0..self.cpus.len()).map(|node| self.node(node)).collect::<Vec<_>>(),
                         "gpus": gpus.map(|gpu| self.gpu(gpu)).collect::<Vec<_>>(), "devices": []},
            "settings": {"numa_balancing": 0, "zone_reclaim_mode": 0},
            "summary": {"verdict": worst.unwrap_or("ok"), "processes": processes.len(), "ok": count("ok"),
                        "at_risk": count("at-risk"), "mismatch": count("mismatch"), "unknown": 0, "complete": true},
            "processes": processes, "findings": findings, "incomplete": [],
        })
    }
}

/// Documents by name.
pub fn documents() -> Vec<(&'static str, Value)> {
    let shape = Shape::new;
    let long = "a-name-that-is-much-longer-than-any-box-".repeat(8);
    let shapes = [
        // 496 processes.
        (
            "sixteen-gpus",
            Shape {
                workers: 30,
                ..shape("n-16", (0..16).map(|gpu| gpu / 8).collect())
            },
        ),
        (
            "nps4",
            Shape {
                cpus: vec![24; 8],
                nodes_of_socket: 4,
                ..shape("nps4", (0..8).collect())
            },
        ),
        // Two Grace CPUs, four GPUs whose memory are nodes, and the nodes that are kept for their partitions.
        (
            "grace",
            Shape {
                cpus: [vec![72, 72], vec![0; 34]].concat(),
                gpu_name: "NVIDIA GB200",
                ..shape("grace", vec![0, 0, 1, 1])
            },
        ),
        (
            "long-names",
            Shape {
                host: long.clone(),
                name: long,
                ..shape("", vec![0, 0, 1, 1])
            },
        ),
    ];
    let mut documents: Vec<(&str, Value)> = shapes
        .into_iter()
        .map(|(name, shape)| (name, shape.document()))
        .collect();
    let mut map = shape("map", vec![0, 1]).document();
    for field in ["processes", "summary"] {
        map.as_object_mut().unwrap().remove(field);
    }
    map["findings"] = json!([]);
    documents.push(("map", map));
    documents
}

/// An audit and a later one: one GPU's processes came back, another's left.
pub fn before_and_after() -> [Value; 2] {
    let gpus = || (0..8).map(|gpu| gpu / 4).collect();
    [3, 4].map(|astray| {
        Shape {
            astray,
            ..Shape::new("n-8", gpus())
        }
        .document()
    })
}

/// So many machines, each tenth with a mismatch, one with another driver.
pub fn fleet(count: usize) -> Vec<Value> {
    let machines = (1..=count).map(|number| {
        let astray = if number % 10 == 3 { 3 } else { 0 };
        let mut shape = Shape { astray, workers: 1, ..Shape::new("", (0..8).map(|gpu| gpu / 4).collect()) };
        shape.host = format!("n{number}");
        let mut document = shape.document();
        if number == 7 {
            document["host"]["driver_version"] = json!("535.1");
            document["summary"]["complete"] = json!(false);
            document["incomplete"] = json!([{"what": "memory", "pid": 1000, "reason": "permission denied", "hint": "run as root"}]);
        }
        document
    });
    machines.collect()
}
