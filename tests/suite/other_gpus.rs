//! Machines with GPUs of AMD and Intel, made up after the kernel's sources: no such machine was seen.

use serde_json::{Value, json};
use snapbox::str;

use crate::machine::{PLACED, Process, Tree};
use crate::program::{Run, of_role};

/// Where the two GPUs are: on node 0 and on node 1, as the trees below have it.
const GPUS: [&str; 2] = ["0000:03:00.0", "0000:c1:00.0"];

/// KFD's numbers for them.
const IDS: [u32; 2] = [49391, 7000];

impl Tree {
    /// A device on PCI with a DRM driver.
    fn drm_device(&self, address: &str, vendor: &str, class: &str, node: &str, files: &[&str]) {
        let folder = format!("sys/bus/pci/devices/{address}");
        for (name, text) in [
            ("class", class),
            ("vendor", vendor),
            ("device", "0x740f"),
            ("numa_node", node),
        ] {
            self.file(&format!("{folder}/{name}"), &format!("{text}\n"));
        }
        for file in files {
            self.file(&format!("{folder}/drm/{file}/uevent"), "");
        }
    }

    fn vram(&self, gpu: usize, used: u64) {
        let folder = format!("sys/bus/pci/devices/{}", GPUS[gpu]);
        self.file(
            &format!("{folder}/mem_info_vram_total"),
            &format!("{}\n", 64_u64 << 30),
        );
        self.file(
            &format!("{folder}/mem_info_vram_used"),
            &format!("{used}\n"),
        );
    }

    /// A process of KFD's with a queue on each of these GPUs.
    fn queues(&self, pid: u32, gpus: &[usize]) {
        let folder = format!("sys/class/kfd/kfd/proc/{pid}");
        self.file(&format!("{folder}/pasid"), "32770\n");
        for (queue, gpu) in gpus.iter().enumerate() {
            self.file(
                &format!("{folder}/queues/{queue}/gpuid"),
                &IDS[*gpu].to_string(),
            );
        }
        for id in IDS {
            // ROCm has a little memory everywhere.
            self.file(&format!("{folder}/vram_{id}"), "8192\n");
        }
    }

    /// Gives a process these files, and what fdinfo tells of each.
    fn opens(&self, pid: u32, files: &[(&str, &str)]) {
        self.link(&format!("proc/{pid}/fd/0"), "/dev/null");
        for (fd, (target, fdinfo)) in (3..).zip(files) {
            self.link(&format!("proc/{pid}/fd/{fd}"), target);
            if !fdinfo.is_empty() {
                self.file(&format!("proc/{pid}/fdinfo/{fd}"), fdinfo);
            }
        }
    }

    fn denies(&self, paths: &[&str]) {
        let manifest = json!({"format": 1, "denied": paths});
        self.file("snapshot.json", &manifest.to_string());
    }
}

/// Two GPUs of AMD's, both known to KFD and with 20 GiB in use on the first.
fn amd() -> Tree {
    let tree = Tree::without_gpu();
    for (at, address) in GPUS.iter().enumerate() {
        let minor = format!("renderD{}", 128 + at);
        tree.drm_device(address, "0x1002", "0x038000", &at.to_string(), &[&minor]);
        let (bus, node) = ([0x03, 0xc1][at], 2 + at);
        let folder = format!("sys/class/kfd/kfd/topology/nodes/{node}");
        tree.file(&format!("{folder}/gpu_id"), &format!("{}\n", IDS[at]));
        tree.file(&format!("{folder}/name"), "aldebaran\n");
        let properties = format!("simd_count 440\nlocation_id {}\ndomain 0\n", bus << 8);
        tree.file(&format!("{folder}/properties"), &properties);
    }
    for node in 0..2 {
        let folder = format!("sys/class/kfd/kfd/topology/nodes/{node}");
        tree.file(&format!("{folder}/gpu_id"), "0\n");
        tree.file(&format!("{folder}/properties"), "location_id 0\ndomain 0\n");
    }
    tree.vram(0, 20 << 30);
    tree.vram(1, 11 << 20);
    tree
}

const KFD: (&str, &str) = ("/dev/kfd", "");

/// What amdgpu tells of a ROCm process's render nodes: KFD's queues are no engines of theirs.
const RENDER_0: (&str, &str) = (
    "/dev/dri/renderD128",
    "pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t19\ndrm-pdev:\t0000:03:00.0\ndrm-memory-vram:\t9 MiB\n",
);
const RENDER_1: (&str, &str) = (
    "/dev/dri/renderD129",
    "pos:\t0\ndrm-driver:\tamdgpu\ndrm-client-id:\t20\ndrm-pdev:\t0000:c1:00.0\ndrm-memory-vram:\t9 MiB\n",
);

/// With a trainer of KFD's on the first GPU.
fn amd_with_trainer(process: &Process) -> Tree {
    let tree = amd();
    tree.process(process);
    tree.opens(process.pid, &[KFD, RENDER_0, RENDER_1]);
    tree.queues(process.pid, &[0]);
    tree
}

/// A process on the other node than the first GPU, with its memory there.
const ASTRAY: Process = Process {
    threads: &[(2, "2-3")],
    numa_maps: Some("7f0000000000 default anon=25600 N1=25600 kernelpagesize_kB=4\n"),
    ..PLACED
};

/// The GPUs of each trainer.
fn trainers(document: &Value) -> Vec<(u64, Value)> {
    let trainers = of_role(document, "trainer").into_iter();
    trainers
        .map(|process| (process["pid"].as_u64().unwrap(), process["gpus"].clone()))
        .collect()
}

/// The one thing that is not known.
#[track_caller]
fn lacks(run: &Run, what: &str, reason: &str) {
    assert_eq!(run.code, Some(3), "{}", run.stdout);
    let document = run.json();
    let gaps = document["incomplete"].as_array().unwrap();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["what"], what);
    assert_eq!(gaps[0]["reason"], reason);
}

#[test]
fn kfd_tells_on_which_gpu_a_trainer_is() {
    let tree = amd_with_trainer(&PLACED);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let document = run.json();
    assert_eq!(document["incomplete"], json!([]));
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(trainer["gpus"], json!([0]));
    assert_eq!(
        (&trainer["gpu_source"], &trainer["attribution"]),
        (&json!("kfd"), &json!("kfd"))
    );
    let gpu = &document["topology"]["gpus"][0];
    assert_eq!(gpu["name"], "AMD aldebaran");
    assert_eq!(gpu["pci_bus_id"], GPUS[0]);
    assert_eq!(
        (&gpu["home_nodes"], &gpu["home_source"]),
        (&json!([0]), &json!("sysfs"))
    );
    assert_eq!(gpu["memory_total_bytes"], 64_u64 << 30);
    assert_eq!(gpu["memory_used_bytes"], 20_u64 << 30);
}

#[test]
fn a_trainer_on_the_wrong_node_is_a_mismatch() {
    let tree = amd_with_trainer(&ASTRAY);
    // A worker that was forked has its trainer's files.
    let worker = Process {
        pid: 101,
        ppid: 100,
        name: "pt_data_worker",
        ..ASTRAY
    };
    tree.process(&worker);
    tree.opens(101, &[KFD, RENDER_0, RENDER_1]);
    assert_eq!(tree.audit(&[]).code, Some(1));
    let mut command = tree.command(&[]);
    let run = Run::from(command.env("COLUMNS", "100").output().unwrap());
    snapbox::assert_data_eq!(
        run.stdout,
        str![[r#"
made-up, Linux 6.1.0, snapshot
2 NUMA nodes: node 0 CPUs 0-1; node 1 CPUs 2-3

GPU 0  AMD aldebaran  0000:03:00.0  home node 0 (sysfs)
GPU 1  AMD aldebaran  0000:c1:00.0  home node 1 (sysfs): no process

 GPU  ROLE     PID  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE   VERDICT
 0    trainer  100  -     0         1         2-3   [0, 1]       1: 100% 100 MiB  MISMATCH
 0    worker   101  -     0         1         2-3   [0, 1]       1: 100% 100 MiB  MISMATCH

error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100
  and worker 101 are bound to node 1 (by CPU affinity)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: for pid in 100 101; do taskset -a -p -c 0-1 $pid; done
  note: memory that is already allocated stays where it is
error[memory-remote]: GPU and memory NUMA nodes do NOT match: GPU 0 is attached to node 0, but
  trainer 100 and worker 101 have up to 100% of their working memory on node 1 (at most 100 MiB per
  process: anonymous 100 MiB)
  run now: for pid in 100 101; do migratepages $pid 1 0; done

2 processes: 0 ok, 0 at risk, 2 mismatched, 0 unknown

"#]]
    );
}

#[test]
fn memory_tells_where_kfd_has_no_queue() {
    let tree = amd();
    tree.process(&PLACED);
    tree.opens(100, &[KFD]);
    tree.queues(100, &[]);
    tree.file("sys/class/kfd/kfd/proc/100/vram_7000", "0\n");
    assert_eq!(
        trainers(&tree.audit(&["--json"]).json()),
        [(100, json!([0]))]
    );
    // A further context of the same process.
    tree.file(
        "sys/class/kfd/kfd/proc/100/context_1/queues/5/gpuid",
        "7000",
    );
    assert_eq!(
        trainers(&tree.audit(&["--json"]).json()),
        [(100, json!([1]))]
    );
}

#[test]
fn to_have_opened_kfd_is_no_work() {
    let tree = amd();
    tree.vram(0, 11 << 20);
    tree.process(&PLACED);
    tree.opens(100, &[KFD]);
    tree.file("sys/class/kfd/kfd/proc/100/vram_49391", "0\n");
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert_eq!(run.json()["processes"], json!([]));
}

#[test]
fn kfds_number_that_is_nobody_here() {
    let tree = amd_with_trainer(&PLACED);
    tree.queues(4242, &[0]);
    let reason = "KFD lists host PID 4242, which does not exist here or has no /dev/kfd open: the process ended, \
        or is in another PID namespace";
    lacks(&tree.audit(&["--json"]), "processes of GPU 0", reason);
    let other = tree.audit(&["--gpu", "1"]);
    assert_eq!(other.code, Some(0), "GPU 1 is not concerned");
}

#[test]
fn kfds_number_that_is_somebody_else_here() {
    let tree = amd_with_trainer(&PLACED);
    tree.process(&Process { pid: 200, ..ASTRAY });
    tree.opens(200, &[]);
    tree.queues(200, &[1]);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    assert_eq!(trainers(&run.json()), [(100, json!([0]))]);
    // Where its files may not be looked at, it is believed.
    tree.denies(&["proc/200/fd"]);
    let run = tree.audit_as_recorded(&["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    assert_eq!(
        trainers(&run.json()),
        [(100, json!([0])), (200, json!([1]))]
    );
}

#[test]
fn minus_one_is_unknown_here_too() {
    let tree = amd_with_trainer(&PLACED);
    tree.file("sys/bus/pci/devices/0000:03:00.0/numa_node", "-1\n");
    let run = tree.audit(&["--json"]);
    lacks(
        &run,
        "home node of GPU 0",
        "no source has it: set it with --gpu-node or --topology",
    );
    let trainer = of_role(&run.json(), "trainer")[0].clone();
    assert_eq!(trainer["verdict"], "unknown");
    assert_eq!(tree.audit(&["--gpu-node", "0=0"]).code, Some(0));
}

#[test]
fn files_that_may_not_be_looked_at_leave_it_open() {
    let tree = amd_with_trainer(&PLACED);
    tree.process(&Process { pid: 200, ..PLACED });
    tree.denies(&["proc/200/fd"]);
    let reason = "it is unknown whether 1 process uses this GPU: permission denied in /proc/PID/fd; run as root";
    // GPU 1 is not in use: whatever the process has open, it is not at work there.
    lacks(
        &tree.audit_as_recorded(&["--json"]),
        "processes of GPU 0",
        reason,
    );
    assert_eq!(tree.audit_as_recorded(&["--gpu", "1"]).code, Some(0));
    // A recording has nothing of that process but the reason.
    let tree = amd_with_trainer(&PLACED);
    let manifest = json!({"format": 1, "unseen": {"0": reason, "7": "x"}});
    tree.file("snapshot.json", &manifest.to_string());
    lacks(
        &tree.audit_as_recorded(&["--json"]),
        "processes of GPU 0",
        reason,
    );
}

#[test]
fn memory_that_nobody_visible_uses() {
    let tree = amd();
    lacks(
        &tree.audit(&["--json"]),
        "processes of GPU 0",
        "20 GiB in use by processes that are not visible here: another PID namespace; run on the host or with the host's \
         PID namespace",
    );
    let table = tree.audit(&[]).stdout;
    assert!(table.contains("(sysfs): processes unknown"), "{table}");
    let map = tree.audit(&["topology", "--json"]).json();
    assert_eq!(map["incomplete"], json!([]), "nobody was looked for");
    tree.vram(0, 11 << 20);
    assert_eq!(tree.audit(&[]).code, Some(0), "an idle box");
    // One that works in the host's memory.
    let folder = format!("sys/bus/pci/devices/{}", GPUS[1]);
    tree.file(&format!("{folder}/mem_info_gtt_used"), "4294967296\n");
    assert_eq!(tree.audit(&[]).code, Some(3));
}

/// A device of Intel's for each GPU's address, the first on node 1.
fn intel() -> Tree {
    let tree = Tree::without_gpu();
    for (at, address) in GPUS.iter().enumerate() {
        let files = [format!("card{at}"), format!("renderD{}", 128 + at)];
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        tree.drm_device(address, "0x8086", "0x038000", &(1 - at).to_string(), &files);
    }
    tree
}

/// What a driver tells of a client on one of the GPUs.
fn client(gpu: usize, id: u32, more: &str) -> (String, String) {
    (
        format!("/dev/dri/renderD{}", 128 + gpu),
        format!(
            "pos:\t0\nflags:\t02100002\ndrm-driver:\txe\ndrm-pdev:\t{}\ndrm-client-id:\t{id}\n{more}",
            GPUS[gpu]
        ),
    )
}

fn opens(tree: &Tree, pid: u32, clients: &[(String, String)]) {
    let files = clients
        .iter()
        .map(|(target, text)| (target.as_str(), text.as_str()));
    tree.opens(pid, &files.collect::<Vec<_>>());
}

const BUSY: &str = "drm-engine-compute:\t46464671 ns\n";
const IDLE: &str = "drm-engine-compute:\t0 ns\ndrm-total-vram0:\t900 MiB\n";

#[test]
fn engine_time_tells_on_which_gpu_a_trainer_is() {
    let tree = intel();
    tree.process(&PLACED);
    opens(&tree, 100, &[client(0, 1, IDLE), client(1, 2, BUSY)]);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let document = run.json();
    let trainer = of_role(&document, "trainer")[0];
    assert_eq!(trainer["gpus"], json!([1]));
    assert_eq!(
        (&trainer["gpu_source"], &trainer["attribution"]),
        (&json!("drm"), &json!("drm"))
    );
    let names: Vec<&Value> = document["topology"]["gpus"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gpu| &gpu["name"])
        .collect();
    assert_eq!(names, ["Intel 8086:740f"; 2]);
    assert_eq!(document["topology"]["devices"], json!([]));
    // The same on the GPU of the other node.
    let tree = intel();
    tree.process(&PLACED);
    opens(&tree, 100, &[client(0, 1, "drm-cycles-ccs:\t9\n")]);
    assert_eq!(tree.audit(&[]).code, Some(1));
}

#[test]
fn memory_tells_where_no_engine_was_busy() {
    let on = |more: [&str; 2]| {
        let tree = intel();
        tree.process(&PLACED);
        opens(&tree, 100, &[client(0, 1, more[0]), client(1, 2, more[1])]);
        let run = tree.audit(&["--json", "--fail-on", "never"]);
        assert_eq!(run.code, Some(0), "{}", run.stdout);
        trainers(&run.json())
    };
    assert_eq!(on([IDLE, IDLE]), [(100, json!([0, 1]))]);
    assert_eq!(
        on(["drm-resident-vram0:\t2 MiB\n", "drm-resident-vram0:\t0\n"]),
        [(100, json!([0]))]
    );
    assert_eq!(
        on([
            "drm-memory-vram:\t64 KiB\n",
            "drm-memory-local0:\t1025 KiB\n"
        ]),
        [(100, json!([1]))],
        "page tables are no work"
    );
    assert_eq!(
        on([
            "drm-engine-x:\t0 ns\ndrm-total-system0:\t9 MiB\n",
            "drm-engine-x:\t0 ns\n"
        ]),
        [],
        "the host's memory is no evidence"
    );
}

#[test]
fn descriptors_of_one_client_are_one() {
    let tree = intel();
    tree.process(&PLACED);
    let small = client(0, 7, "drm-total-vram0:\t700 KiB\n");
    opens(&tree, 100, &[small.clone(), small.clone(), small]);
    assert_eq!(trainers(&tree.audit(&["--json"]).json()), []);
    let other = client(0, 8, "drm-total-vram0:\t700 KiB\n");
    tree.link("proc/100/fd/9", &other.0);
    tree.file("proc/100/fdinfo/9", &other.1);
    assert_eq!(
        trainers(&tree.audit(&["--json"]).json()),
        [(100, json!([0]))]
    );
}

#[test]
fn what_a_worker_has_inherited_is_its_trainers() {
    let tree = intel();
    tree.process(&PLACED);
    opens(&tree, 100, &[client(1, 2, BUSY)]);
    for (pid, ppid) in [(101, 100), (102, 101)] {
        let worker = Process {
            pid,
            ppid,
            name: "pt_data_worker",
            ..PLACED
        };
        tree.process(&worker);
    }
    // The one between has closed it.
    opens(&tree, 102, &[client(1, 2, BUSY)]);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(trainers(&document), [(100, json!([1]))]);
    assert_eq!(of_role(&document, "worker").len(), 2);
    // A circle of parents has no first.
    let circle = Process {
        ppid: 102,
        ..PLACED
    };
    tree.process(&circle);
    assert!(tree.audit(&["--json"]).code.is_some());
}

#[test]
fn displays_are_not_judged() {
    let tree = intel();
    tree.process(&Process {
        name: "Xorg",
        ..PLACED
    });
    opens(&tree, 100, &[client(0, 1, BUSY)]);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(document["summary"]["processes"], 0);
    assert_eq!(of_role(&document, "helper").len(), 1);
}

#[test]
fn a_driver_that_is_silent_leaves_it_open() {
    let reason =
        "it is unknown whether 1 process uses this GPU: the driver reports no use in fdinfo";
    for fdinfo in [
        "",
        "pos:\t0\n",
        "drm-driver:\txe\ndrm-pdev:\t0000:03:00.0\ndrm-client-id:\t1\n",
        "drm-pdev:\t0000:03:00.0\ndrm-engine-x:\t99999999999999999999 ns\n",
        "drm-pdev:\t0000:03:00.0\ndrm-total-vram0:\t18446744073709551615 MiB\n",
    ] {
        let tree = intel();
        tree.process(&PLACED);
        tree.opens(100, &[("/dev/dri/renderD128", fdinfo)]);
        let run = tree.audit(&["--json", "--gpu", "0"]);
        lacks(&run, "processes of GPU 0", reason);
    }
    // A file of somebody else's GPU may say what it will.
    let tree = intel();
    tree.process(&PLACED);
    tree.opens(100, &[("/dev/dri/renderD135", "pos:\t0\n")]);
    assert_eq!(tree.audit(&[]).code, Some(0));
}

#[test]
fn beside_a_gpu_of_nvidias() {
    let mut tree = Tree::new();
    tree.trainer(&PLACED);
    tree.drm_device(GPUS[1], "0x1002", "0x120000", "1", &["renderD129"]);
    tree.process(&Process { pid: 200, ..ASTRAY });
    opens(&tree, 200, &[client(1, 2, BUSY)]);
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(0), "{}", run.stdout);
    let document = run.json();
    assert_eq!(trainers(&document), [(100, json!([0])), (200, json!([1]))]);
    let gpus = document["topology"]["gpus"].as_array().unwrap();
    let names: Vec<&Value> = gpus.iter().map(|gpu| &gpu["name"]).collect();
    assert_eq!(names, ["NVIDIA A100", "AMD 1002:740f"]);
}

#[test]
fn nvidias_driver_is_missed_where_it_has_a_gpu_alone() {
    let tree = intel();
    assert_eq!(tree.audit(&[]).code, Some(0), "no GPU of NVIDIA's");
    tree.numa_node("0\n");
    let run = tree.audit(&["--json"]);
    lacks(&run, "NVIDIA driver", "libnvidia-ml.so.1: not found");
    assert_eq!(tree.audit(&["--gpu", "1"]).code, Some(0), "Intel's");
    assert_eq!(tree.audit(&["--gpu", "0"]).code, Some(3), "NVIDIA's");
    let table = tree.audit(&[]).stdout;
    assert!(
        table.contains("GPU 0  0000:10:1c.0  home node 0 (sysfs): processes unknown"),
        "{table}"
    );
    assert!(table.contains("(sysfs): no process"), "{table}");
    let none = Tree::without_gpu();
    assert_eq!(none.audit(&[]).code, Some(3), "no GPU at all: as ever");
}

#[test]
fn what_is_no_gpu() {
    let tree = Tree::without_gpu();
    // An AMD ES1000 of a board, an NPU of Intel's, a VGA of the board's own.
    tree.drm_device("0000:01:00.0", "0x1002", "0x030000", "0", &["card0"]);
    tree.drm_device("0000:02:00.0", "0x8086", "0x120000", "0", &[]);
    tree.drm_device(
        "0000:04:00.0",
        "0x1a03",
        "0x030000",
        "0",
        &["card1", "renderD128"],
    );
    tree.drm_device("0000:05:00.0", "0x8086", "0x020000", "0", &["renderD129"]);
    let document = tree.audit(&["--json"]).json();
    assert_eq!(document["topology"]["gpus"], json!([]));
    assert_eq!(document["topology"]["devices"].as_array().unwrap().len(), 4);
}

#[test]
fn partitions_of_a_gpu_are_that_gpu() {
    let tree = amd_with_trainer(&PLACED);
    // The second partition, as two kernels number it, of a GPU whose memory nobody else uses.
    for (node, id, location) in [(4, 11, 0x1000_0300_u32), (5, 12, 0x0301)] {
        let folder = format!("sys/class/kfd/kfd/topology/nodes/{node}");
        tree.file(&format!("{folder}/gpu_id"), &format!("{id}\n"));
        let properties = format!("location_id {location}\ndomain 0\n");
        tree.file(&format!("{folder}/properties"), &properties);
    }
    for (pid, id) in [(200, 11), (300, 12)] {
        tree.process(&Process { pid, ..PLACED });
        tree.opens(pid, &[KFD]);
        let file = format!("sys/class/kfd/kfd/proc/{pid}/queues/0/gpuid");
        tree.file(&file, &format!("{id}"));
    }
    let document = tree.audit(&["--json"]).json();
    assert_eq!(
        trainers(&document),
        [100, 200, 300].map(|pid| (pid, json!([0])))
    );
    assert_eq!(document["topology"]["gpus"].as_array().unwrap().len(), 2);
}

#[test]
fn names_are_what_somebody_tells() {
    let tree = amd();
    let file = format!("sys/bus/pci/devices/{}/product_name", GPUS[0]);
    tree.file(&file, "\x1b[2JInstinct\n");
    tree.file("sys/class/kfd/kfd/topology/nodes/3/name", "ip discovery\n");
    let document = tree.audit(&["--json"]).json();
    let gpus = document["topology"]["gpus"].as_array().unwrap();
    assert_eq!(gpus[0]["name"], "\x1b[2JInstinct");
    assert_eq!(gpus[1]["name"], "AMD 1002:740f");
    let table = tree.audit(&["--color", "never"]).stdout;
    assert!(!table.contains('\x1b'), "{table}");
}

#[test]
fn hostile_files_are_no_trouble() {
    let tree = amd_with_trainer(&PLACED);
    for pid in [200, 201] {
        tree.process(&Process { pid, ..ASTRAY });
    }
    // Nearly as much as is read of a file, and more than that.
    let lines = |count| {
        let lines = "drm-engine-x:\t1 ns\n".repeat(count);
        format!("drm-pdev:\t{}\n{lines}", GPUS[1])
    };
    tree.opens(200, &[("/dev/dri/renderD129", &lines(400_000))]);
    tree.opens(201, &[("/dev/dri/renderD129", &lines(500_000))]);
    for (path, text) in [
        ("topology/nodes/9/gpu_id", "4294967296\n"),
        ("topology/nodes/10/gpu_id", "5\n"),
        ("topology/nodes/10/properties", "location_id 99999999999\n"),
        ("topology/nodes/x/gpu_id", "\0\0"),
        ("proc/-1/queues/0/gpuid", "49391"),
        ("proc/0100/queues/0/gpuid", "7000"),
        ("proc/200/queues/0/gpuid", "18446744073709551616"),
    ] {
        tree.file(&format!("sys/class/kfd/kfd/{path}"), text);
    }
    tree.link("sys/class/kfd/kfd/proc/300", "300");
    let start = std::time::Instant::now();
    let run = tree.audit(&["--json"]);
    assert_eq!(run.code, Some(3));
    let document = run.json();
    assert_eq!(
        trainers(&document),
        [(100, json!([0])), (200, json!([1]))],
        "of what can be read nothing is lost"
    );
    let reason = document["incomplete"][0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("KFD's GPUs of process 200: malformed: "),
        "{reason}"
    );
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn an_index_that_is_the_last() {
    let tree = intel();
    tree.file("snapshot.json", "{\"format\": 1}");
    tree.file(
        "nvml.json",
        "{\"gpus\": [{\"index\": 4294967295, \"processes\": []}]}",
    );
    let run = Run::from(tree.command(&["--json"]).output().unwrap());
    let document = run.json();
    let gpus = document["topology"]["gpus"].as_array().unwrap().iter();
    let indexes: Vec<&Value> = gpus.map(|gpu| &gpu["index"]).collect();
    assert_eq!(indexes.len(), 3, "{indexes:?}");
}
