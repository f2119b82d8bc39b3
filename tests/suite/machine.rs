//! Builds small machines for tests: two sockets, a GPU on node 0, a trainer.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Run, of_role, program};

/// A recorded tree that is being built: two nodes of two CPUs each, in two sockets, and one GPU.
pub struct Tree {
    pub folder: tempfile::TempDir,
    /// NVML's process lists, by GPU.
    contexts: Vec<Vec<Value>>,
    /// The addresses of GPUs that were added, from GPU 1 on.
    added: Vec<String>,
    pub gpu_memory_used: u64,
    /// Whether there is NVIDIA's driver, with GPU 0.
    has_nvidia: bool,
    /// NVML's CPU and memory affinity of GPU 0.
    pub affinity: [Option<&'static str>; 2],
}

/// A process of such a machine.
pub struct Process<'a> {
    pub pid: u32,
    pub ppid: u32,
    pub name: &'a str,
    pub command: &'a str,
    /// Of each thread, the main one first: the last CPU and the affinity.
    pub threads: &'a [(u32, &'a str)],
    pub numa_maps: Option<&'a str>,
}

fn stat(pid: u32, ppid: u32, name: &str, start: u64, cpu: u32) -> String {
    let zeros = "0 ".repeat(16);
    format!("{pid} ({name}) S {ppid} {zeros} 0 {start} {zeros} {cpu} 0 0\n")
}

/// Bound to node 0, with 100 MiB there.
pub const PLACED: Process = Process {
    pid: 100,
    ppid: 1,
    name: "python3",
    command: "python3\0train.py\0",
    threads: &[(0, "0-1")],
    numa_maps: Some("7f0000000000 default anon=25600 N0=25600 kernelpagesize_kB=4\n"),
};

impl Tree {
    pub fn new() -> Self {
        let tree = Self {
            has_nvidia: true,
            ..Self::without_gpu()
        };
        tree.numa_node("0\n");
        tree
    }

    /// The same machine without the GPU and without NVIDIA's driver.
    pub fn without_gpu() -> Self {
        let tree = Self {
            folder: tempfile::tempdir().unwrap(),
            contexts: vec![Vec::new(); 2],
            added: Vec::new(),
            gpu_memory_used: 1 << 30,
            has_nvidia: false,
            affinity: [None; 2],
        };
        tree.file("sys/devices/system/node/online", "0-1\n");
        for (node, cpus) in [(0, "0-1\n"), (1, "2-3\n")] {
            let folder = format!("sys/devices/system/node/node{node}");
            tree.file(&format!("{folder}/cpulist"), cpus);
            tree.file(
                &format!("{folder}/meminfo"),
                &format!("Node {node} MemTotal: 1024 kB\n"),
            );
            tree.file(
                &format!("{folder}/distance"),
                if node == 0 { "10 21\n" } else { "21 10\n" },
            );
        }
        for cpu in 0..4 {
            let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
            tree.file(&file, &format!("{}\n", cpu / 2));
        }
        tree.file("proc/sys/kernel/osrelease", "6.1.0\n");
        tree
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

    /// The program, reading this tree.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments);
        command.arg("--snapshot").arg(self.folder.path());
        command
    }

    /// Sets the GPU's `numa_node` in sysfs.
    pub fn numa_node(&self, text: &str) {
        self.file("sys/bus/pci/devices/0000:10:1c.0/class", "0x030200\n");
        self.file("sys/bus/pci/devices/0000:10:1c.0/vendor", "0x10de\n");
        self.file("sys/bus/pci/devices/0000:10:1c.0/numa_node", text);
    }

    /// Replaces the two nodes: for each its CPUs and its socket. Nodes without CPUs come last.
    pub fn nodes(&self, nodes: &[(&str, u32)]) {
        fs::remove_dir_all(self.folder.path().join("sys/devices/system")).unwrap();
        self.file(
            "sys/devices/system/node/online",
            &format!("0-{}\n", nodes.len() - 1),
        );
        for (node, (cpus, package)) in nodes.iter().enumerate() {
            let folder = format!("sys/devices/system/node/node{node}");
            self.file(&format!("{folder}/cpulist"), &format!("{cpus}\n"));
            self.file(
                &format!("{folder}/meminfo"),
                &format!("Node {node} MemTotal: 1024 kB\n"),
            );
            let to = |(at, (_, other)): (usize, &(&str, u32))| match (at == node, other == package)
            {
                (true, _) => "10",
                (_, true) => "12",
                _ => "32",
            };
            let row: Vec<&str> = nodes.iter().enumerate().map(to).collect();
            self.file(&format!("{folder}/distance"), &(row.join(" ") + "\n"));
            for range in cpus.split(',').filter(|range| !range.is_empty()) {
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                for cpu in first.parse::<u32>().unwrap()..=last.parse().unwrap() {
                    let file =
                        format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
                    self.file(&file, &format!("{package}\n"));
                }
            }
        }
    }

    /// Adds a GPU at an address such as `0000:90:1C.0`, on a node.
    pub fn gpu(&mut self, address: &str, node: &str) {
        let folder = format!("sys/bus/pci/devices/{}", address.to_lowercase());
        self.file(&format!("{folder}/class"), "0x030200\n");
        self.file(&format!("{folder}/numa_node"), node);
        self.added.push(address.to_owned());
        self.contexts.resize(self.added.len() + 1, Vec::new());
    }

    /// Replaces a process's environment.
    pub fn variables(&self, pid: u32, variables: &[&str]) {
        let text: String = variables.iter().map(|of| format!("{of}\0")).collect();
        self.file(&format!("proc/{pid}/environ"), &text);
    }

    /// Puts a process into a control group whose cpuset has these CPUs and memory nodes.
    pub fn confine(&self, pid: u32, group: &str, cpus: &str, mems: &str) {
        self.file(&format!("proc/{pid}/cgroup"), &format!("0::{group}\n"));
        for (name, list) in [("cpus", cpus), ("mems", mems)] {
            let file = format!("sys/fs/cgroup{group}/cpuset.{name}.effective");
            self.file(&file, &format!("{list}\n"));
        }
    }

    /// Puts all CPUs into one socket.
    pub fn one_socket(&self) {
        for cpu in 0..4 {
            let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
            self.file(&file, "0\n");
        }
    }

    /// Moves the GPU's folder below that of a bridge on this node, as in sysfs, and links to it.
    pub fn move_below_bridge(&self, node: &str) {
        let bridge = "sys/devices/pci0000:0f/0000:0f:00.0";
        self.file(&format!("{bridge}/numa_node"), node);
        let gpu = format!("{bridge}/0000:10:1c.0");
        let listed = "sys/bus/pci/devices/0000:10:1c.0";
        let root = self.folder.path();
        fs::rename(root.join(listed), root.join(&gpu)).unwrap();
        let target = "../../../devices/pci0000:0f/0000:0f:00.0/0000:10:1c.0";
        std::os::unix::fs::symlink(target, root.join(listed)).unwrap();
    }

    pub fn numa_node_below_bridge(&self, text: &str) {
        self.file(
            "sys/devices/pci0000:0f/0000:0f:00.0/0000:10:1c.0/numa_node",
            text,
        );
    }

    pub fn process(&self, process: &Process) {
        let Process {
            pid, ppid, name, ..
        } = process;
        let folder = format!("proc/{pid}");
        let stat = |cpu: u32| stat(*pid, *ppid, name, 777, cpu);
        let status = |cpus: &str| {
            format!("Uid:\t7\t7\t7\t7\nCpus_allowed_list:\t{cpus}\nMems_allowed_list:\t0-1\n")
        };
        let (cpu, cpus) = process.threads[0];
        self.file(&format!("{folder}/stat"), &stat(cpu));
        self.file(&format!("{folder}/status"), &status(cpus));
        self.file(&format!("{folder}/cmdline"), process.command);
        self.file(&format!("{folder}/environ"), "");
        self.file(&format!("{folder}/cgroup"), "0::/\n");
        for (tid, (cpu, cpus)) in (*pid..).zip(process.threads) {
            self.file(&format!("{folder}/task/{tid}/stat"), &stat(*cpu));
            self.file(&format!("{folder}/task/{tid}/status"), &status(cpus));
        }
        if let Some(text) = process.numa_maps {
            self.file(&format!("{folder}/numa_maps"), text);
        }
    }

    /// Sets a thread's name, its start and the CPU on which it last ran.
    pub fn name_thread(&self, pid: u32, tid: u32, name: &str, start: u64, cpu: u32) {
        let file = format!("proc/{pid}/task/{tid}/stat");
        self.file(&file, &stat(tid, 1, name, start, cpu));
    }

    /// Sets the open files of a process: the targets of the links in its fd folder, from 0 on.
    pub fn open(&self, pid: u32, targets: &[impl AsRef<str>]) {
        let folder = self.folder.path().join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&folder).unwrap();
        for (fd, target) in targets.iter().enumerate() {
            std::os::unix::fs::symlink(target.as_ref(), folder.join(fd.to_string())).unwrap();
        }
    }

    /// Adds a process that NVML lists on GPU 0.
    pub fn trainer(&mut self, process: &Process) {
        self.process(process);
        self.listed(0, process.pid, "compute", 1 << 30);
    }

    /// Adds an entry to NVML's lists. GPU 1, on node 1, exists as soon as a process uses it.
    pub fn listed(&mut self, gpu: usize, pid: u32, kind: &str, bytes: u64) {
        let entry = json!({"pid": pid, "kind": kind, "used_memory_bytes": bytes});
        self.contexts[gpu].push(entry);
    }

    pub fn audit(&self, arguments: &[&str]) -> Run {
        self.file(
            "snapshot.json",
            "{\"format\": 1, \"hostname\": \"made-up\"}",
        );
        self.audit_as_recorded(arguments)
    }

    pub fn audit_as_recorded(&self, arguments: &[&str]) -> Run {
        // A GPU that was added without a process is idle.
        let used = |index: usize| match index > 0 && self.contexts[index].is_empty() {
            true => 5 << 20,
            false => self.gpu_memory_used,
        };
        let gpu = |index: usize, address: &str| {
            json!({
                "index": index, "minor_number": index, "name": "NVIDIA A100", "pci_bus_id": address, "uuid": format!("GPU-{index}aaa"),
                "memory_used_bytes": used(index), "processes": self.contexts[index],
                "cpu_affinity": self.affinity[0], "memory_affinity": self.affinity[1],
            })
        };
        let mut gpus = vec![gpu(0, "00000000:10:1C.0")];
        let added = self.added.iter().zip(1..);
        gpus.extend(added.map(|(address, index)| gpu(index, &format!("0000{address}"))));
        if self.added.is_empty() && !self.contexts[1].is_empty() {
            self.file("sys/bus/pci/devices/0000:90:1c.0/class", "0x030200\n");
            self.file("sys/bus/pci/devices/0000:90:1c.0/numa_node", "1\n");
            gpus.push(gpu(1, "00000000:90:1C.0"));
        }
        let nvml = match self.has_nvidia {
            true => json!({"gpus": gpus}),
            false => json!({"error": "libnvidia-ml.so.1: not found"}),
        };
        self.file("nvml.json", &nvml.to_string());
        let run: Run = self.command(arguments).output().unwrap().into();
        // No machine of these tests may get a command that contradicts a target.
        if arguments.contains(&"--json") && run.stdout.starts_with("{\n") {
            crate::targets::assert_one_target(&run.json());
        }
        run
    }

    /// Asserts the verdicts on the first trainer's CPUs and memory, and the exit code.
    #[track_caller]
    pub fn judges(&self, cpu: &str, memory: &str, code: i32) -> Value {
        let run = self.audit(&["--json"]);
        let document = run.json();
        let trainer = of_role(&document, "trainer")[0].clone();
        assert_eq!(trainer["cpu"]["verdict"], cpu, "{trainer}");
        assert_eq!(trainer["memory"]["verdict"], memory, "{trainer}");
        assert_eq!(run.code, Some(code));
        document
    }
}

pub fn with_trainer(process: &Process) -> Tree {
    let mut tree = Tree::new();
    tree.trainer(process);
    tree
}

/// Sets a process's open files: this many of each /dev/nvidiaN.
pub fn open_files(tree: &Tree, pid: u32, counts: &[usize]) {
    let mut targets = vec!["/dev/null".to_owned()];
    for (minor, count) in counts.iter().enumerate() {
        targets.extend(std::iter::repeat_n(format!("/dev/nvidia{minor}"), *count));
    }
    tree.open(pid, &targets);
}
