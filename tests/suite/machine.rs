//! Machines made up for one question each: two sockets, a GPU on node 0, a trainer.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::program::{Run, about_processes, program};

/// A recorded tree in the making: two nodes of two CPUs each, in two sockets, and one GPU.
pub struct Tree {
    pub folder: tempfile::TempDir,
    /// What NVML lists, by GPU.
    contexts: Vec<Vec<Value>>,
    /// The addresses of GPUs that were added, from GPU 1 on.
    added: Vec<String>,
    pub gpu_memory_used: u64,
    /// Whether there is NVIDIA's driver, with GPU 0.
    has_nvidia: bool,
    /// NVML's CPU and memory affinity of GPU 0.
    pub affinity: [Option<&'static str>; 2],
}

/// A process of it.
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

/// Held on node 0, with 100 MiB there.
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

    /// The program with this tree for its machine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .args(arguments)
            .arg("--snapshot")
            .arg(self.folder.path());
        command
    }

    /// What sysfs says of the GPU.
    pub fn numa_node(&self, text: &str) {
        self.file("sys/bus/pci/devices/0000:10:1c.0/class", "0x030200\n");
        self.file("sys/bus/pci/devices/0000:10:1c.0/vendor", "0x10de\n");
        self.file("sys/bus/pci/devices/0000:10:1c.0/numa_node", text);
    }

    /// Other nodes than the two: of each its CPUs and its socket, nodes of no CPUs coming last.
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

    /// One more GPU, at an address such as `0000:90:1C.0`, on a node.
    pub fn gpu(&mut self, address: &str, node: &str) {
        let folder = format!("sys/bus/pci/devices/{}", address.to_lowercase());
        self.file(&format!("{folder}/class"), "0x030200\n");
        self.file(&format!("{folder}/numa_node"), node);
        self.added.push(address.to_owned());
        self.contexts.resize(self.added.len() + 1, Vec::new());
    }

    /// A process's variables, in place of those that it has.
    pub fn variables(&self, pid: u32, variables: &[&str]) {
        let text: String = variables.iter().map(|of| format!("{of}\0")).collect();
        self.file(&format!("proc/{pid}/environ"), &text);
    }

    /// Puts a process into a control group, whose cpuset leaves it so much.
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

    /// Puts the GPU's folder below that of a bridge of this node, as sysfs has it, with a link to it.
    fn hang_on_bridge(&self, node: &str) {
        let bridge = "sys/devices/pci0000:0f/0000:0f:00.0";
        self.file(&format!("{bridge}/numa_node"), node);
        let gpu = format!("{bridge}/0000:10:1c.0");
        let listed = "sys/bus/pci/devices/0000:10:1c.0";
        let root = self.folder.path();
        fs::rename(root.join(listed), root.join(&gpu)).unwrap();
        let target = "../../../devices/pci0000:0f/0000:0f:00.0/0000:10:1c.0";
        std::os::unix::fs::symlink(target, root.join(listed)).unwrap();
    }

    fn numa_node_below_bridge(&self, text: &str) {
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

    /// Gives a thread of a process a name of its own, a start and a CPU on which it last ran.
    pub fn name_thread(&self, pid: u32, tid: u32, name: &str, start: u64, cpu: u32) {
        let file = format!("proc/{pid}/task/{tid}/stat");
        self.file(&file, &stat(tid, 1, name, start, cpu));
    }

    /// What a process has open, as its fd folder links to it, from 0 on.
    pub fn open(&self, pid: u32, targets: &[impl AsRef<str>]) {
        let folder = self.folder.path().join(format!("proc/{pid}/fd"));
        fs::create_dir_all(&folder).unwrap();
        for (fd, target) in targets.iter().enumerate() {
            std::os::unix::fs::symlink(target.as_ref(), folder.join(fd.to_string())).unwrap();
        }
    }

    /// A process that NVML names on GPU 0.
    pub fn trainer(&mut self, process: &Process) {
        self.process(process);
        self.listed(0, process.pid, "compute", 1 << 30);
    }

    /// An entry of NVML's lists. GPU 1, on node 1, is there as soon as somebody uses it.
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
        // A GPU that was added for the machine's sake is idle.
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
        self.command(arguments).output().unwrap().into()
    }

    /// The verdicts on the first trainer's CPUs and memory, and the exit code.
    #[track_caller]
    pub fn judges(&self, cpu: &str, memory: &str, code: i32) -> Value {
        let run = self.audit(&["--json"]);
        let document = run.json();
        let trainer = crate::program::of_role(&document, "trainer")[0].clone();
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

#[test]
fn held_on_the_gpus_node() {
    let document = with_trainer(&PLACED).judges("ok", "ok", 0);
    assert_eq!(document["summary"]["local_fraction"], 1.0);
    assert_eq!(about_processes(&document), [&json!(null); 0]);
}

#[test]
fn in_place_by_chance_is_at_risk() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-3")],
        ..PLACED
    });
    tree.judges("at-risk", "ok", 0);
    assert_eq!(tree.audit(&["--fail-on", "at-risk"]).code, Some(1));
}

#[test]
fn on_the_other_socket_is_a_mismatch() {
    let tree = with_trainer(&Process {
        threads: &[(2, "0-3")],
        ..PLACED
    });
    let document = tree.judges("mismatch", "ok", 1);
    assert_eq!(document["findings"][0]["rule"], "cpu-remote");
    assert_eq!(tree.audit(&["--fail-on", "never"]).code, Some(0));
}

#[test]
fn on_another_node_of_the_socket_is_near() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.one_socket();
    tree.judges("at-risk", "ok", 0);
}

#[test]
fn bound_elsewhere_in_its_sleep() {
    // It last ran on node 0, and will run on node 1.
    let tree = with_trainer(&Process {
        threads: &[(0, "2-3")],
        ..PLACED
    });
    let document = tree.judges("mismatch", "ok", 1);
    let message = document["findings"][0]["message"].as_str().unwrap();
    assert!(
        message.ends_with("trainer 100 is bound to node 1 (by CPU affinity)"),
        "{message}"
    );
    // And the other way round.
    let tree = with_trainer(&Process {
        threads: &[(2, "0-1")],
        ..PLACED
    });
    tree.judges("ok", "ok", 0);
}

/// Found by the lab on 8 nodes: `taskset` on a sleeping process whose last CPU was near.
#[test]
fn bound_to_the_other_socket_after_it_last_ran_near() {
    let tree = with_trainer(&Process {
        threads: &[(4, "2-3")],
        ..PLACED
    });
    tree.file("sys/devices/system/node/online", "0-2\n");
    tree.file("sys/devices/system/node/node2/cpulist", "4-5\n");
    tree.file(
        "sys/devices/system/cpu/cpu4/topology/physical_package_id",
        "0\n",
    );
    tree.judges("mismatch", "ok", 1);
}

#[test]
fn a_binding_that_its_threads_escaped_is_at_risk() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1"), (2, "0-3"), (1, "0-1")],
        ..PLACED
    });
    let document = tree.judges("at-risk", "ok", 0);
    let threads = &crate::program::of_role(&document, "trainer")[0]["cpu"]["threads"];
    assert_eq!(
        *threads,
        json!({"total": 3, "by_node": {"0": 2, "1": 1}, "astray": 1, "loose": 1, "loose_names": {"python3": 1}})
    );
}

#[test]
fn possible_cpus_that_are_not_there_loosen_nothing() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1,4-239")],
        ..PLACED
    });
    tree.judges("ok", "ok", 0);
}

/// A trainer with so many 4 KiB pages on node 0 and 1.
#[track_caller]
fn memory(local: u64, remote: u64, verdict: &str) {
    let maps = format!("7f0000000000 default anon=9 N0={local} N1={remote} kernelpagesize_kB=4\n");
    let tree = with_trainer(&Process {
        numa_maps: Some(&maps),
        ..PLACED
    });
    let code = if verdict == "ok" { 0 } else { 1 };
    tree.judges("ok", verdict, code);
}

#[test]
fn memory_is_remote_beyond_both_limits() {
    const LIMIT: u64 = 16 * 256;
    memory(0, LIMIT, "ok");
    memory(0, LIMIT + 1, "mismatch");
    memory(9 * (LIMIT + 1), LIMIT + 1, "ok");
    memory(9 * (LIMIT + 1) - 1, LIMIT + 1, "mismatch");
}

#[test]
fn limits_are_settings() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default N0=25600 N1=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    assert_eq!(tree.audit(&[]).code, Some(1));
    assert_eq!(tree.audit(&["--remote-percent", "50"]).code, Some(0));
    assert_eq!(tree.audit(&["--remote-mib", "100"]).code, Some(0));
    assert_eq!(tree.audit(&["--remote-mib", "99"]).code, Some(1));
}

#[test]
fn mapped_files_are_never_a_mismatch() {
    let tree = with_trainer(&Process {
        numa_maps: Some(
            "7f0000000000 default file=/data/set.bin mapped=99999 N1=99999 kernelpagesize_kB=4\n",
        ),
        ..PLACED
    });
    let document = tree.judges("ok", "ok", 0);
    let memory = &crate::program::of_role(&document, "trainer")[0]["memory"];
    assert_eq!(memory["by_kind"]["file"]["1"], 99999 * 4096);
    assert_eq!(memory["by_node_bytes"], json!({}));
    assert_eq!(memory["node"], Value::Null);
    assert_eq!(memory["local_fraction"], Value::Null);
}

#[test]
fn pinned_is_what_a_trainer_shares_with_nobody() {
    let zero =
        "7f0000000000 default file=/dev/zero\\040(deleted) dirty=512 N0=512 kernelpagesize_kB=4\n";
    let mut tree = Tree::new();
    tree.trainer(&Process {
        numa_maps: Some(zero),
        ..PLACED
    });
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        numa_maps: Some(zero),
        ..PLACED
    });
    let document = tree.audit(&["--json"]).json();
    let kinds = |role| crate::program::of_role(&document, role)[0]["memory"]["by_kind"].clone();
    assert_eq!(kinds("trainer"), json!({"pinned": {"0": 2 << 20}}));
    assert_eq!(kinds("worker"), json!({"shared": {"0": 2 << 20}}));
}

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
    tree.hang_on_bridge("1\n");
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
fn several_nodes_are_no_answer() {
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
fn sources_that_contradict_each_other_are_told() {
    let mut tree = with_trainer(&PLACED);
    tree.affinity = [Some("2-3"), Some("0")];
    let document = tree.judges("ok", "ok", 0);
    let finding = crate::program::finding(&document, "sources-disagree");
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
fn bad_hints_are_refused() {
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
fn a_strict_audit_takes_near_for_remote() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    tree.one_socket();
    tree.judges("at-risk", "ok", 0);
    assert_eq!(tree.audit(&["--strict-node"]).code, Some(1));
}

#[test]
fn a_home_without_cpus_sends_to_the_nearest_that_has_some() {
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

#[test]
fn pages_on_the_gpu_itself_are_not_remote() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default N2=99999 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    tree.file("sys/devices/system/node/node2/cpulist", "\n");
    tree.judges("ok", "mismatch", 1);
    tree.file(
        "proc/driver/nvidia/gpus/0000:10:1c.0/numa_status",
        "Node:\t2\nStatus:\tonline\n",
    );
    let document = tree.judges("ok", "ok", 0);
    assert_eq!(
        document["topology"]["gpus"][0]["own_memory_nodes"],
        json!([2])
    );
}

#[test]
fn memory_only_nodes_belong_to_the_nearest_socket() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default N2=99999 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    tree.file("sys/devices/system/node/online", "0-2\n");
    tree.file("sys/devices/system/node/node2/cpulist", "\n");
    let distances = |rows: [&str; 3]| {
        for (node, row) in rows.iter().enumerate() {
            tree.file(&format!("sys/devices/system/node/node{node}/distance"), row);
        }
    };
    distances(["10 21 13", "21 10 23", "13 23 10"]);
    let document = tree.judges("ok", "at-risk", 0);
    assert_eq!(document["findings"][0]["rule"], "memory-near");
    distances(["10 21 23", "21 10 13", "23 13 10"]);
    tree.judges("ok", "mismatch", 1);
}

#[test]
fn what_was_not_readable_is_unknown() {
    let tree = with_trainer(&Process {
        numa_maps: None,
        ..PLACED
    });
    let document = tree.judges("ok", "unknown", 3);
    assert_eq!(
        document["incomplete"],
        json!([{"pid": 100, "what": "memory", "reason": "absent"}])
    );
    let memory = &crate::program::of_role(&document, "trainer")[0]["memory"];
    assert_eq!(memory["by_node_bytes"], Value::Null);
    assert_eq!(memory["mems_allowed"], json!([0, 1]));
    // The recording tells that its maker was refused it.
    tree.file(
        "snapshot.json",
        "{\"format\": 1, \"denied\": [\"proc/100/numa_maps\"]}",
    );
    let denied = tree.audit_as_recorded(&["--json"]).json();
    assert_eq!(denied["incomplete"][0]["reason"], "permission denied");
}

#[test]
fn cpus_of_a_node_that_are_not_known_are_not_none() {
    let tree = with_trainer(&PLACED);
    tree.file("sys/devices/system/node/node1/cpulist", "nonsense\n");
    let document = tree.judges("unknown", "ok", 3);
    assert_eq!(document["topology"]["nodes"][1]["cpus"], Value::Null);
    assert_eq!(document["incomplete"][0]["what"], "CPUs of node 1");
    let table = tree.audit(&[]).stdout;
    assert!(table.contains("node 1 CPUs ?"), "{table}");
}

#[test]
fn a_thread_whose_affinity_is_not_known_is_not_held() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1"), (0, "0-1")],
        ..PLACED
    });
    tree.file("proc/100/task/101/status", "Uid:\t7\n");
    let document = tree.judges("unknown", "ok", 3);
    assert_eq!(document["incomplete"][0]["what"], "thread 101");
}

#[test]
fn a_process_that_cannot_be_read_is_not_left_out() {
    let tree = with_trainer(&PLACED);
    tree.file("proc/101/stat", "101 (pt_data_worker) S\n");
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    let gap = &run.json()["incomplete"][0];
    assert_eq!(
        (&gap["pid"], &gap["what"]),
        (&json!(101), &json!("process"))
    );
    tree.audit(&["--pid", "101"]).fails_with(
        "process 101 cannot be read: malformed: no field 9 in stat: \"101 (pt_data_worker) S\\n\"",
    );
}

#[test]
fn a_remedy_can_be_carried_out() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        numa_maps: Some("7f0000000000 default N1=25600 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    let remedies = |tree: &Tree| {
        let document = tree.audit(&["--json"]).json();
        ["cpu-remote", "memory-remote"].map(|rule| {
            let finding = crate::program::finding(&document, rule);
            (
                finding["remedy"].as_str().unwrap().to_owned(),
                finding["commands"].clone(),
            )
        })
    };
    let [cpu, memory] = remedies(&tree);
    assert_eq!(
        cpu,
        (
            "start it with numactl --cpunodebind=0 --membind=0; memory that is already allocated stays where it is".into(),
            json!(["taskset -a -p -c 0-1 100"])
        )
    );
    assert_eq!(
        memory.1,
        json!(["taskset -a -p -c 0-1 100", "migratepages 100 1 0"])
    );
    tree.file(
        "sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 0 kB\n",
    );
    let [cpu, memory] = remedies(&tree);
    assert!(
        cpu.0.starts_with("start it with taskset -c 0-1;"),
        "{cpu:?}"
    );
    assert_eq!(
        memory.0,
        "node 0 has no memory: use the nearest node that has memory"
    );
}

#[test]
fn a_mismatch_outweighs_what_is_unknown() {
    let tree = with_trainer(&Process {
        threads: &[(2, "2-3")],
        numa_maps: None,
        ..PLACED
    });
    tree.judges("mismatch", "unknown", 1);
}

#[test]
fn half_a_numa_maps_is_no_memory_at_all() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 default anon=25600 N0=25600 kernelpagesize_kB=4\n7f00"),
        ..PLACED
    });
    let document = tree.judges("ok", "unknown", 3);
    assert_eq!(
        document["incomplete"][0]["reason"],
        "malformed: ends within a line"
    );
}

#[test]
fn gpu_memory_that_nobody_visible_uses() {
    let tree = Tree::new();
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3), "never 0 for a box that it could not see");
    let document = run.json();
    let reason = document["incomplete"][0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("1.0 GiB in use by processes that are not visible here"),
        "{reason}"
    );
    let mut two = Tree::new();
    two.listed(1, 999, "mps", 0);
    let table = two.audit(&[]).stdout;
    assert!(
        table.contains(
            "? processes of GPUs 0-1: 2.0 GiB in use by processes that are not visible here"
        ),
        "one line for all GPUs: {table}"
    );
    let idle = Tree {
        gpu_memory_used: 5 << 20,
        ..Tree::new()
    };
    assert_eq!(idle.audit(&[]).code, Some(0), "an idle box");
    idle.numa_node("-1\n");
    assert_eq!(
        idle.audit(&[]).code,
        Some(3),
        "whoever came could not be judged"
    );
}

#[test]
fn a_process_that_only_the_driver_sees() {
    let mut tree = with_trainer(&PLACED);
    tree.listed(0, 4242, "compute", 1 << 30);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    assert_eq!(
        run.json()["incomplete"],
        json!([{"pid": 4242, "what": "process", "reason": "absent", "hint": "the driver lists it, and it is not visible here: it \
             has ended, runs in another PID namespace, or is hidden (hidepid)"}])
    );
}

/// Puts links into a process's fd folder: so many on each /dev/nvidiaN, and one on nvidiactl.
pub fn open_files(tree: &Tree, pid: u32, counts: &[usize]) {
    let mut targets = vec!["/dev/null".to_owned()];
    for (minor, count) in counts.iter().enumerate() {
        targets.extend(std::iter::repeat_n(format!("/dev/nvidia{minor}"), *count));
    }
    tree.open(pid, &targets);
}

#[test]
fn open_files_tell_the_trainer_that_nvml_does_not() {
    let mut tree = Tree::new();
    tree.gpu("0000:90:1C.0", "1\n");
    tree.process(&PLACED);
    open_files(&tree, 100, &[23, 7]);
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        name: "pt_data_worker",
        ..PLACED
    });
    // A forked worker inherits its trainer's files (seen with PyTorch on two H200s).
    open_files(&tree, 101, &[23, 7]);
    tree.process(&Process { pid: 200, ..PLACED });
    open_files(&tree, 200, &[7, 7]);
    let document = tree.audit(&["--json"]).json();
    let trainer = crate::program::of_role(&document, "trainer")[0];
    assert_eq!(
        (&trainer["pid"], &trainer["gpus"]),
        (&json!(100), &json!([0]))
    );
    assert_eq!(
        (&trainer["gpu_source"], &trainer["attribution"]),
        (&json!("fd"), &json!("fd"))
    );
    assert_eq!(
        crate::program::of_role(&document, "worker")[0]["trainer_pid"],
        100
    );
    assert_eq!(
        document["processes"].as_array().unwrap().len(),
        2,
        "one that opened all alike is on none"
    );
    assert_eq!(tree.audit(&[]).code, Some(0));
    // What NVML says is never overruled by it.
    tree.listed(0, 200, "compute", 1 << 30);
    let document = tree.audit(&["--json"]).json();
    let trainers = crate::program::of_role(&document, "trainer").into_iter();
    assert_eq!(
        trainers
            .map(|process| process["pid"].clone())
            .collect::<Vec<_>>(),
        [200]
    );
}

#[test]
fn a_number_of_another_namespace_is_nobody_here() {
    let tree = with_trainer(&PLACED);
    open_files(&tree, 100, &[]);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    let document = run.json();
    assert_eq!(document["processes"], json!([]));
    let gaps = document["incomplete"].as_array().unwrap();
    assert!(
        gaps.iter()
            .any(|gap| gap["pid"] == 100 && gap["what"] == "process"),
        "{gaps:?}"
    );
}

/// NVML means another namespace's process, and the true one is found by its files: so too when the recording has nothing
/// of the stranger but its number.
#[test]
fn a_stranger_hides_nobody_live_or_recorded() {
    let tree = with_trainer(&Process { pid: 300, ..PLACED });
    open_files(&tree, 300, &[]);
    tree.process(&PLACED);
    open_files(&tree, 100, &[23, 7]);
    let seen = |tree: &Tree| {
        let document = tree.audit_as_recorded(&["--json"]).json();
        let trainers = crate::program::of_role(&document, "trainer").into_iter();
        let trainers: Vec<Value> = trainers.map(|process| process["pid"].clone()).collect();
        (trainers, document["incomplete"].clone())
    };
    tree.file("snapshot.json", "{\"format\": 1}");
    let at_first = seen(&tree);
    assert_eq!(at_first.0, [100]);
    fs::remove_dir_all(tree.folder.path().join("proc/300")).unwrap();
    tree.file("snapshot.json", "{\"format\": 1, \"strangers\": [300]}");
    assert_eq!(seen(&tree), at_first);
    // One that is nowhere to be seen hides nobody either.
    tree.file("snapshot.json", "{\"format\": 1}");
    assert_eq!(seen(&tree).0, [100]);
}

#[test]
fn servers_of_gpus_are_not_judged() {
    let mut tree = Tree::new();
    let server = Process {
        name: "nvidia-cuda-mps",
        threads: &[(2, "2-3")],
        ..PLACED
    };
    // The daemon and, below it, the server.
    tree.process(&Process { pid: 99, ..server });
    tree.trainer(&Process { ppid: 99, ..server });
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(0));
    let document = run.json();
    assert_eq!(document["summary"]["processes"], 0);
    let server = crate::program::of_role(&document, "helper")[0];
    assert_eq!(
        (&server["gpus"], &server["verdict"]),
        (&json!([0]), &Value::Null)
    );
}

#[test]
fn an_mps_entry_of_no_bytes_is_no_context() {
    let mut tree = with_trainer(&PLACED);
    tree.process(&Process { pid: 200, ..PLACED });
    tree.listed(0, 200, "mps", 0);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(document["summary"]["processes"], 1);
}

#[test]
fn sessions_and_services_are_no_launchers() {
    let mut tree = Tree::new();
    for (pid, ppid, name, command) in [
        (1, 0, "custom-init", "/sbin/init\0"),
        (20, 1, "sshd", "sshd: ann\0"),
        (30, 20, "bash", "-bash\0"),
        (40, 30, "bash", "bash\0run.sh\0"),
        (50, 40, "pt_elastic", "python3\0torchrun\0train.py\0"),
        (
            51,
            50,
            "python3",
            "python3\0-c\0from multiprocessing.resource_tracker import main;main(5)\0",
        ),
        (52, 50, "tensorboard", "tensorboard\0"),
    ] {
        let process = Process {
            pid,
            ppid,
            name,
            command,
            ..PLACED
        };
        tree.process(&process);
    }
    tree.trainer(&Process { ppid: 50, ..PLACED });
    let document = tree.audit(&["--json"]).json();
    let pids = |role| {
        let found = crate::program::of_role(&document, role).into_iter();
        found
            .map(|process| process["pid"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(pids("launcher"), [40, 50]);
    assert_eq!(pids("helper"), [51]);
    assert_eq!(document["processes"].as_array().unwrap().len(), 4);
}

#[test]
fn an_init_is_known_by_its_control_group() {
    let mut tree = Tree::new();
    tree.process(&Process {
        pid: 1,
        ppid: 0,
        name: "entrypoint",
        ..PLACED
    });
    tree.trainer(&PLACED);
    let launchers = |tree: &Tree| {
        let document = tree.audit(&["--json"]).json();
        crate::program::of_role(&document, "launcher").len()
    };
    assert_eq!(launchers(&tree), 1, "in a container it launched the job");
    tree.file("proc/1/cgroup", "0::/init.scope\n");
    assert_eq!(launchers(&tree), 0);
}

#[test]
fn filters_leave_what_belongs_together() {
    let mut tree = with_trainer(&PLACED);
    tree.process(&Process {
        pid: 101,
        ppid: 100,
        name: "pt_data_worker",
        ..PLACED
    });
    tree.trainer(&Process { pid: 200, ..PLACED });
    let pids = |arguments: &[&str]| {
        let run = tree.audit(&[arguments, &["--json"]].concat());
        let document = run.json();
        let processes = document["processes"].as_array().unwrap().iter();
        processes
            .map(|process| process["pid"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(pids(&[]), [100, 101, 200]);
    assert_eq!(pids(&["--pid", "100"]), [100, 101]);
    assert_eq!(
        pids(&["--pid", "101"]),
        [101],
        "and it knows its trainer all the same"
    );
    assert_eq!(pids(&["--gpu", "0"]), [100, 101, 200]);
    assert_eq!(pids(&["--gpu", "10:1C.0"]), [100, 101, 200]);
    assert_eq!(pids(&["--user", "7"]), [100, 101, 200]);
    assert_eq!(pids(&["--user", "8"]), [0; 0]);
    assert_eq!(pids(&["--gpu", "GPU-0a"]), [100, 101, 200]);
    tree.file("proc/101/status", "nonsense\n");
    assert_eq!(pids(&["--user", "8"]), [101], "whose it is cannot be told");
    let document = tree.audit(&["--pid", "101", "--json"]).json();
    assert_eq!(document["processes"][0]["trainer_pid"], 100);
}

#[test]
fn what_is_out_of_scope_is_not_missed() {
    let mut tree = with_trainer(&PLACED);
    tree.listed(1, 4242, "compute", 1 << 30);
    assert_eq!(tree.audit(&[]).code, Some(3));
    assert_eq!(tree.audit(&["--gpu", "1"]).code, Some(3));
    assert_eq!(tree.audit(&["--gpu", "0"]).code, Some(0));
    assert_eq!(tree.audit(&["--pid", "100"]).code, Some(0));
}

#[test]
fn a_process_on_two_gpus_may_be_on_either_node() {
    let mut tree = with_trainer(&Process {
        threads: &[(2, "0-3")],
        ..PLACED
    });
    tree.listed(1, 100, "compute", 1 << 30);
    let document = tree.judges("ok", "ok", 0);
    let trainer = crate::program::of_role(&document, "trainer")[0];
    assert_eq!(trainer["gpus"], json!([0, 1]));
    assert_eq!(trainer["local_nodes"], json!([0, 1]));
    let table = tree.audit(&[]).stdout;
    assert!(!table.contains("no process"), "{table}");
}

#[test]
fn without_a_gpu_memory_is_held_against_the_cpus_node() {
    let tree = Tree::new();
    tree.process(&Process {
        threads: &[(2, "2-3")],
        ..PLACED
    });
    let run = tree.audit(&["--json", "--pid", "100"]);
    assert_eq!(run.code, Some(1));
    let document = run.json();
    let process = &document["processes"][0];
    assert_eq!(process["role"], Value::Null);
    assert_eq!(process["local_nodes"], json!([1]));
    assert_eq!(process["cpu"]["verdict"], "ok");
    let message = document["findings"][0]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "CPU and memory NUMA nodes do NOT match: process 100 runs on node 1, but it has 100% of its working memory \
         on node 0 (100 MiB: anonymous 100 MiB)"
    );
}

#[test]
fn each_way_to_be_at_risk_says_which() {
    let finding = |threads| {
        let tree = with_trainer(&Process { threads, ..PLACED });
        let document = tree.judges("at-risk", "ok", 0);
        let finding = &document["findings"][0];
        format!(
            "{}: {}",
            finding["rule"].as_str().unwrap(),
            finding["message"].as_str().unwrap()
        )
    };
    assert_eq!(
        finding(&[(0, "0-3")]),
        "cpu-unbound: GPU 0 is attached to node 0; trainer 100 runs there but is not bound there: its CPU affinity allows nodes 0-1"
    );
    assert_eq!(
        finding(&[(0, "0-1"), (2, "2-3"), (0, "0-3")]),
        "threads-astray: GPU 0 is attached to node 0, but trainer 100 is bound there only in part: 2 of 3 threads may run \
         elsewhere (python3 ×2), and 1 last ran elsewhere"
    );
}

#[test]
fn loose_threads_are_named_and_how_they_came_to_be() {
    let tree = with_trainer(&Process {
        threads: &[(0, "0-1"), (2, "0-3"), (0, "0-3"), (2, "0-3"), (0, "0-1")],
        ..PLACED
    });
    tree.name_thread(100, 101, "pt_autograd_0", 778, 2);
    tree.name_thread(100, 102, "pt_autograd_1", 778, 0);
    tree.name_thread(100, 103, "cuda-EvtHandlr", 780, 2);
    let told = |last_start| {
        tree.name_thread(100, 104, "python3", last_start, 0);
        let document = tree.judges("at-risk", "ok", 0);
        let finding = crate::program::finding(&document, "threads-astray");
        let message = finding["message"].as_str().unwrap().to_owned();
        (message, finding["evidence"].clone())
    };
    let (message, evidence) = told(900);
    assert_eq!(
        message,
        "GPU 0 is attached to node 0, but trainer 100 is bound there only in part (not the threads that are older than the \
         binding): 3 of 5 threads may run elsewhere (pt_autograd ×2, cuda-EvtHandlr), and 2 last ran elsewhere"
    );
    assert_eq!(
        evidence,
        json!({
            "home_nodes": [0], "threads": 5, "threads_loose": 3, "threads_astray": 2,
            "loose_names": "pt_autograd ×2, cuda-EvtHandlr", "pattern": "late-binding",
        })
    );
    let (message, evidence) = told(779);
    assert!(
        message.contains(" bound there only in part: 3 of 5 "),
        "{message}"
    );
    assert_eq!(
        evidence.get("pattern"),
        None,
        "which came first is not clear"
    );
    // Names are their makers' choice.
    tree.name_thread(100, 101, "\x1b]0;x\n#", 778, 2);
    let text = tree.audit(&["--color", "never"]).stdout + &tree.audit(&["--remedies"]).stdout;
    assert!(
        text.contains("\\u{1b}]0;x\\n#") && !text.contains('\x1b'),
        "{text}"
    );
}

#[test]
fn no_line_is_wider_than_the_terminal_whatever_the_cpus() {
    let even: Vec<String> = (0..112)
        .step_by(2)
        .map(|cpu: u32| cpu.to_string())
        .collect();
    let tree = with_trainer(&Process {
        threads: &[(0, "0,2,4,6,8,10,12,14,16,18,20,22,24")],
        ..PLACED
    });
    tree.file("sys/devices/system/node/node0/cpulist", &even.join(","));
    for columns in [50, 60, 80, 100, 200] {
        for arguments in [&[][..], &["topology"]] {
            let mut command = program();
            command
                .arg("--snapshot")
                .arg(tree.folder.path())
                .args(arguments);
            command.env("COLUMNS", columns.to_string());
            let text = Run::from(command.output().unwrap()).stdout;
            let widest = text.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(columns), "{columns}:\n{text}");
            assert!(
                !text.lines().any(|line| line.trim() == "G"),
                "a header broken in a word:\n{text}"
            );
        }
    }
}

#[test]
fn hostile_facts_reach_no_terminal_either() {
    let tree = with_trainer(&Process {
        numa_maps: Some("7f0000000000 e\x1b]0;x\x07:0 anon=1 N0=1 kernelpagesize_kB=4\n"),
        ..PLACED
    });
    let table = tree.audit(&["--color", "never"]).stdout;
    assert!(!table.contains(['\x1b', '\x07']), "{table}");
    tree.file(
        "nvml.json",
        "{\"gpus\": [{\"index\": 0, \"processes\": [{\"pid\": 1, \"kind\": \"\\u001b[2J\"}]}]}",
    );
    let mut command = program();
    let run = Run::from(
        command
            .arg("--snapshot")
            .arg(tree.folder.path())
            .output()
            .unwrap(),
    );
    assert_eq!(run.code, Some(2));
    assert!(
        !run.stderr.contains('\x1b') && run.stderr.lines().count() == 1,
        "{}",
        run.stderr
    );
}

#[test]
fn four_thousand_generations_are_no_trouble() {
    let mut tree = with_trainer(&PLACED);
    tree.listed(0, 5000, "compute", 1);
    for pid in 1000..5001 {
        tree.process(&Process {
            pid,
            ppid: if pid == 1000 { 100 } else { pid - 1 },
            ..PLACED
        });
    }
    let start = std::time::Instant::now();
    let document = tree.audit(&["--json"]).json();
    assert_eq!(document["processes"].as_array().unwrap().len(), 4002);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn hostile_names_reach_no_terminal() {
    let tree = with_trainer(&Process {
        name: "\x1b[31m) S 1 (\u{202E}y\n",
        ..PLACED
    });
    let table = tree.audit(&["--all"]).stdout + &tree.audit(&["--color", "never"]).stdout;
    assert!(!table.contains(['\x1b', '\u{202E}']), "{table}");
    let document = tree.audit(&["--json"]).json();
    let trainer = crate::program::of_role(&document, "trainer")[0];
    assert_eq!(trainer["name"], "\x1b[31m) S 1 (\u{202E}y\n");
}

/// A policy that was cut by the kernel, of a mode that no kernel has; found by fuzzing whole recordings.
#[test]
fn a_policys_mode_reaches_no_terminal_either() {
    let mode = format!("\x1b[31m{}", "x".repeat(80));
    let maps = format!("7f0000000000 {mode} anon=1 N0=1 kernelpagesize_kB=4\n");
    let tree = with_trainer(&Process {
        numa_maps: Some(&maps),
        ..PLACED
    });
    let run = tree.audit(&["--all"]);
    assert!(run.stdout.contains("\\u{1b}[31mx"), "{}", run.stdout);
    assert!(!run.stdout.contains('\x1b'), "{}", run.stdout);
}

/// comfy-table counts widths in 16 bits; found by fuzzing whole recordings.
#[test]
fn a_name_longer_than_any_table_is_cut() {
    let name = "x ".repeat(35_000);
    let mut tree = Tree::new();
    tree.trainer(&Process {
        name: &name,
        ..PLACED
    });
    let folder = "sys/bus/pci/devices/0000:10:1c.0";
    tree.file(&format!("{folder}/net/{}/type", "eth".repeat(80)), "1\n");
    for arguments in [&["--all"][..], &[], &["topology"]] {
        let mut command = tree.command(arguments);
        command.env("COLUMNS", "200");
        tree.audit(arguments);
        let run = Run::from(command.output().unwrap());
        assert_eq!(
            (run.code, run.stderr.as_str()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}
