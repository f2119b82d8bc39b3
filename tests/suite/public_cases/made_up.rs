//! A recorded machine in the making, of any shape: the files that the program reads, written from a few facts.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Run, program};

pub const GIB: u64 = 1 << 30;

pub struct MadeUp {
    folder: tempfile::TempDir,
    pub gpus: Vec<Value>,
    pub has_nvidia: bool,
    nodes: usize,
}

/// A process: of each thread the last CPU, all with one affinity.
#[derive(Clone)]
pub struct Made<'a> {
    pub pid: u32,
    pub ppid: u32,
    pub name: &'a str,
    pub command: &'a str,
    pub last: u32,
    pub threads: u32,
    pub cpus: &'a str,
    pub maps: String,
    pub environ: Vec<String>,
    pub cgroup: String,
    pub mems: Option<&'a str>,
    pub swap_kib: u64,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self {
            pid: 100,
            ppid: 1,
            name: "python3",
            command: "python3 train.py",
            last: 0,
            threads: 1,
            cpus: "0",
            maps: String::new(),
            environ: Vec::new(),
            cgroup: "0::/\n".to_owned(),
            mems: None,
            swap_kib: 0,
        }
    }
}

/// A node: its CPUs, its socket and its memory in GiB.
pub type NodeShape = (String, u32, u64);

/// Equal nodes of so many CPUs, each in a socket of its own.
pub fn two_sockets(cpus: u32, gib: u64) -> Vec<NodeShape> {
    let list = |node: u32| format!("{}-{}", node * cpus, (node + 1) * cpus - 1);
    (0..2).map(|node| (list(node), node, gib)).collect()
}

pub fn near_or_21(from: usize, to: usize) -> u32 {
    if from == to { 10 } else { 21 }
}

impl MadeUp {
    pub fn new(nodes: &[NodeShape], distance: fn(usize, usize) -> u32) -> Self {
        let made = Self {
            folder: tempfile::tempdir().unwrap(),
            gpus: Vec::new(),
            has_nvidia: true,
            nodes: nodes.len(),
        };
        made.file("snapshot.json", r#"{"format": 1, "hostname": "made-up"}"#);
        made.file("proc/sys/kernel/osrelease", "6.1.0\n");
        made.file("proc/sys/kernel/numa_balancing", "0\n");
        let base = "sys/devices/system";
        let last = nodes.len() - 1;
        made.file(&format!("{base}/node/online"), &format!("0-{last}\n"));
        for (node, (cpus, socket, gib)) in nodes.iter().enumerate() {
            let folder = format!("{base}/node/node{node}");
            made.file(&format!("{folder}/cpulist"), &format!("{cpus}\n"));
            made.memory(node, gib << 20, gib << 19);
            let row = (0..nodes.len()).map(|to| distance(node, to).to_string());
            let row = row.collect::<Vec<_>>().join(" ");
            made.file(&format!("{folder}/distance"), &(row + "\n"));
            for range in cpus.split(',').filter(|range| !range.is_empty()) {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                for cpu in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
                    let file = format!("{base}/cpu/cpu{cpu}/topology/physical_package_id");
                    made.file(&file, &format!("{socket}\n"));
                }
            }
        }
        made
    }

    pub fn path(&self, path: &str) -> String {
        self.folder.path().join(path).to_str().unwrap().to_owned()
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// A node's memory and what is free of it, in KiB.
    pub fn memory(&self, node: usize, total: u64, free: u64) {
        let text = format!("Node {node} MemTotal: {total} kB\nNode {node} MemFree: {free} kB\n");
        let file = format!("sys/devices/system/node/node{node}/meminfo");
        self.file(&file, &text);
    }

    /// A device on PCI. `ids`: class, vendor, device.
    pub fn pci(&self, address: &str, node: i32, ids: [&str; 3]) {
        let folder = format!("sys/bus/pci/devices/{address}");
        for (name, text) in ["class", "vendor", "device"].iter().zip(ids) {
            self.file(&format!("{folder}/{name}"), &format!("{text}\n"));
        }
        self.file(&format!("{folder}/numa_node"), &format!("{node}\n"));
    }

    /// A GPU of NVIDIA's that is in use.
    pub fn gpu(&mut self, address: &str, node: i32, name: &str) {
        self.pci(address, node, ["0x030200", "0x10de", "0x2330"]);
        let index = self.gpus.len();
        let folder = format!("proc/driver/nvidia/gpus/{address}");
        let information =
            format!("Model: \t\t {name}\nBus Location: \t {address}\nDevice Minor: \t {index}\n");
        self.file(&format!("{folder}/information"), &information);
        self.gpus.push(json!({
            "index": index, "minor_number": index, "name": name, "uuid": format!("GPU-{index}"),
            "pci_bus_id": format!("0000{address}").to_uppercase(),
            "memory_total_bytes": 80 * GIB, "memory_used_bytes": 20 * GIB, "processes": [],
        }));
    }

    pub fn uses(&mut self, gpu: usize, pid: u32) {
        let entry = json!({"pid": pid, "kind": "compute", "used_memory_bytes": 10 * GIB});
        self.gpus[gpu]["processes"]
            .as_array_mut()
            .unwrap()
            .push(entry);
    }

    pub fn process(&self, made: &Made) {
        let Made {
            pid, ppid, name, ..
        } = made;
        let folder = format!("proc/{pid}");
        let zeros = |count: usize| "0 ".repeat(count);
        let stat = |of: u32| {
            let (before, after, last) = (zeros(15), zeros(16), made.last);
            format!("{of} ({name}) S {ppid} {pid} {pid} {before}777 {after}{last} 0 0\n")
        };
        let mems = made
            .mems
            .map_or(format!("0-{}", self.nodes - 1), str::to_owned);
        let status = |of: u32| {
            format!(
                "Name:\t{name}\nState:\tS\nTgid:\t{pid}\nPid:\t{of}\nPPid:\t{ppid}\nUid:\t1000\t1000\t1000\t1000\nNSpid:\t{of}\n\
                 VmSwap:\t{} kB\nCpus_allowed_list:\t{}\nMems_allowed_list:\t{mems}\n",
                made.swap_kib, made.cpus
            )
        };
        for of in *pid..*pid + made.threads {
            self.file(&format!("{folder}/task/{of}/stat"), &stat(of));
            self.file(&format!("{folder}/task/{of}/status"), &status(of));
        }
        self.file(&format!("{folder}/stat"), &stat(*pid));
        self.file(&format!("{folder}/status"), &status(*pid));
        let ended = |text: &str| text.to_owned() + "\0";
        let command: String = made.command.split(' ').map(ended).collect();
        self.file(&format!("{folder}/cmdline"), &command);
        let environ: String = made.environ.iter().map(|of| ended(of)).collect();
        self.file(&format!("{folder}/environ"), &environ);
        self.file(&format!("{folder}/cgroup"), &made.cgroup);
        self.file(&format!("{folder}/numa_maps"), &made.maps);
    }

    pub fn opens(&self, pid: u32, targets: &[&str]) {
        for (fd, target) in targets.iter().enumerate() {
            self.link(&format!("proc/{pid}/fd/{fd}"), target);
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let nvml = match self.has_nvidia {
            true => json!({"driver_version": "570.133.20", "gpus": self.gpus}),
            false => json!({"error": "libnvidia-ml.so.1: not found"}),
        };
        self.file("nvml.json", &nvml.to_string());
        let mut command = program();
        command.env("COLUMNS", "300").args(arguments);
        command.arg("--snapshot").arg(self.folder.path());
        command.output().unwrap().into()
    }

    pub fn topology(&self, columns: &str) -> String {
        self.run(&["topology"]);
        let mut command = program();
        command.env("COLUMNS", columns).arg("topology");
        let output = command.arg("--snapshot").arg(self.folder.path()).output();
        Run::from(output.unwrap()).stdout
    }

    pub fn audit(&self, arguments: &[&str]) -> Seen {
        let with = |more: &str| self.run(&[arguments, &[more]].concat());
        let run = with("--json");
        let document = run.json();
        let table = self.run(arguments).stdout;
        let text = format!(
            "{table}\n{}\n{}",
            with("--remedies").stdout,
            document["incomplete"]
        );
        Seen {
            code: run.code.unwrap(),
            document,
            table,
            text,
        }
    }
}

/// Anonymous memory of so many MiB on each node.
pub fn anon(mib: &[(u32, u64)], policy: &str) -> String {
    mapped("7f0000000000", policy, "anon=1", mib)
}

/// What cudaHostAlloc makes.
pub fn pinned(mib: &[(u32, u64)]) -> String {
    mapped(
        "7e0000000000",
        "default",
        "file=/dev/zero\\040(deleted) dirty=1",
        mib,
    )
}

fn mapped(start: &str, policy: &str, what: &str, mib: &[(u32, u64)]) -> String {
    let pages = mib
        .iter()
        .map(|(node, mib)| format!("N{node}={}", mib * 256));
    let pages = pages.collect::<Vec<_>>().join(" ");
    format!("{start} {policy} {what} {pages} kernelpagesize_kB=4\n")
}

/// What the program says of a machine.
pub struct Seen {
    pub code: i32,
    pub document: Value,
    pub table: String,
    /// The table, the remedies and what is unknown.
    pub text: String,
}

impl Seen {
    #[track_caller]
    pub fn process(&self, pid: u32) -> &Value {
        let processes = self.document["processes"].as_array().unwrap();
        let mut found = processes.iter().filter(|process| process["pid"] == pid);
        found.next().unwrap_or_else(|| panic!("no process {pid}"))
    }

    /// The verdicts on CPU and memory, and the whole one.
    #[track_caller]
    pub fn cpu(&self, pid: u32) -> &str {
        self.process(pid)["cpu"]["verdict"].as_str().unwrap()
    }

    #[track_caller]
    pub fn memory(&self, pid: u32) -> &str {
        self.process(pid)["memory"]["verdict"].as_str().unwrap()
    }

    #[track_caller]
    pub fn verdict(&self, pid: u32) -> &str {
        self.process(pid)["verdict"].as_str().unwrap()
    }

    pub fn home(&self, gpu: usize) -> &Value {
        &self.document["topology"]["gpus"][gpu]["home_nodes"]
    }

    /// Whether there is a finding of this rule that names these processes.
    pub fn has(&self, rule: &str, pids: &[u32]) -> bool {
        let findings = self.document["findings"].as_array().unwrap();
        findings.iter().any(|finding| {
            let named = finding["pids"].as_array().unwrap();
            finding["rule"] == rule && pids.iter().all(|pid| named.contains(&json!(pid)))
        })
    }

    #[track_caller]
    pub fn says(&self, one_of: &[&str]) {
        let found = one_of.iter().any(|text| self.text.contains(text));
        assert!(found, "{one_of:?} in {}", self.text);
    }

    #[track_caller]
    pub fn says_not(&self, none_of: &[&str]) {
        for text in none_of {
            assert!(!self.text.contains(text), "{text:?} in {}", self.text);
        }
    }
}
