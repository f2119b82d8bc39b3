//! Machines that were watched for a while: made up, as a recording is of one moment.

use std::time::Duration;

use numa_audit::audit::{Settings, audit};
use numa_audit::document::Document;
use numa_audit::machine::window::{Counters, CpuTime, ProcessActivity, ThreadActivity, Window};
use numa_audit::observe::{Source, Subjects, observe};
use numa_audit::print::terminal::Terminal;
use numa_audit::print::{json, table};
use numa_audit::units::NodeId;
use numa_audit::units::Pid;
use serde_json::{Value, json};
use snapbox::str;

use crate::machine::{PLACED, Process, Tree, with_trainer};
use crate::program::finding;

/// A window of 10 seconds over a made-up machine.
pub struct Watch {
    tree: Tree,
    window: Window,
}

fn cpu_time(millis: [u64; 2]) -> CpuTime {
    let mut time = CpuTime::default();
    for (node, millis) in (0..).zip(millis) {
        time.add(NodeId(node), Duration::from_millis(millis));
    }
    time
}

impl Watch {
    /// A trainer that nothing holds, last seen on node 0.
    fn of_unbound() -> Self {
        Self::of(&Process {
            threads: &[(0, "0-3")],
            ..PLACED
        })
    }

    fn of(trainer: &Process) -> Self {
        let window = Window {
            asked: Duration::from_secs(10),
            length: Duration::from_millis(10_004),
            looks: 100,
            ..Window::default()
        };
        Self {
            tree: with_trainer(trainer),
            window,
        }
    }

    /// What a process spent on either node, in milliseconds, and how often it moved.
    fn saw(&mut self, pid: u32, millis: [u64; 2], migrations: u64) -> &mut ProcessActivity {
        let watched = ProcessActivity {
            start_time_ticks: 777,
            cpu_time: cpu_time(millis),
            migrations,
            threads_moved: usize::from(migrations > 0),
            ..ProcessActivity::default()
        };
        self.window.processes.insert(Pid(pid), watched);
        self.window.processes.get_mut(&Pid(pid)).unwrap()
    }

    fn document(&self) -> Document {
        self.document_of(&Subjects::GpuUsers)
    }

    fn document_of(&self, subjects: &Subjects) -> Document {
        // What NVML says is written by an audit.
        self.tree.audit(&[]);
        let source = Source::snapshot(self.tree.folder.path()).unwrap();
        let mut machine = observe(source, subjects).machine;
        machine.window = Some(self.window.clone());
        audit(machine, &Settings::default())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&json::text(&self.document())).unwrap()
    }

    pub fn table(&self, width: u16) -> String {
        let color = false;
        table::report(&self.document(), false, &Terminal { width, color })
    }

    #[track_caller]
    fn says(&self, rule: &str, message: &str) {
        assert_eq!(finding(&self.json(), rule)["message"], message);
    }

    #[track_caller]
    fn judges(&self, verdict: &str) {
        assert_eq!(self.json()["processes"][0]["cpu"]["verdict"], verdict);
    }
}

#[test]
fn cpu_time_tells_more_than_where_it_last_ran() {
    let mut watch = Watch::of_unbound();
    watch.saw(100, [1700, 8300], 14);
    watch.judges("mismatch");
    watch.says(
        "cpu-remote",
        "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 runs on node 1 (it \
         spent 83% of its CPU time there in 10 s and moved between nodes 14 times; no CPU affinity binds it there)",
    );
    let document = watch.json();
    let evidence = &finding(&document, "cpu-remote")["evidence"];
    assert_eq!(evidence["cpu_time_share"], 0.83);
    assert_eq!(evidence["migrations"], 14);
    assert_eq!(document["processes"][0]["cpu"]["node"], 1);
}

#[test]
fn bound_ones_beside_one_that_is_not() {
    let mut watch = Watch::of_unbound();
    watch.tree.trainer(&Process {
        pid: 200,
        threads: &[(2, "2-3")],
        ..PLACED
    });
    watch.saw(100, [1000, 3000], 3);
    watch.saw(200, [0, 4000], 0);
    watch.says(
        "cpu-remote",
        "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but 2 trainers run on node 1 (1 of 2 is \
         bound there by CPU affinity; they spent 88% of their CPU time there in 10 s and moved between nodes 3 times)",
    );
}

#[test]
fn a_visit_is_no_mismatch() {
    let mut watch = Watch::of_unbound();
    watch.saw(100, [9000, 1000], 1);
    watch.judges("at-risk");
    watch.says(
        "cpu-unbound",
        "GPU 0 is attached to node 0; trainer 100 runs there but is not bound there: its CPU affinity allows nodes 0-1 (it \
         spent 90% of its CPU time there in 10 s and moved between nodes once)",
    );
    watch.saw(100, [8990, 1010], 1);
    watch.judges("mismatch");
    assert_eq!(watch.json()["processes"][0]["cpu"]["node"], 0);
}

#[test]
fn one_that_is_held_now_is_where_it_belongs() {
    let mut watch = Watch::of(&PLACED);
    watch.saw(100, [0, 9000], 0);
    watch.judges("ok");
    assert_eq!(watch.json()["processes"][0]["cpu"]["node"], 1);
}

#[test]
fn one_that_did_nothing_is_judged_as_at_a_glance() {
    let mut watch = Watch::of(&Process {
        threads: &[(2, "0-3")],
        ..PLACED
    });
    watch.saw(100, [0, 0], 0);
    let at_a_glance = "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 runs on \
                       node 1 (it last ran there; no CPU affinity binds it there)";
    watch.says("cpu-remote", at_a_glance);
    let none = json!({"cpu_seconds_by_node": {}, "migrations": 0, "threads_moved": 0});
    assert_eq!(watch.json()["processes"][0]["cpu"]["window"], none);
    // And another one that had its number tells nothing of it.
    watch.saw(100, [9000, 0], 0).start_time_ticks = 5;
    watch.says("cpu-remote", at_a_glance);
    assert_eq!(
        watch.json()["processes"][0]["cpu"].get("window"),
        None,
        "it was not watched"
    );
}

/// It has no place but where it runs: to wander is no mismatch.
#[test]
fn without_a_gpu_it_belongs_where_it_ran_most() {
    let mut watch = Watch::of(&PLACED);
    watch.tree.process(&Process {
        pid: 200,
        threads: &[(0, "0-3")],
        ..PLACED
    });
    watch.saw(200, [2000, 3000], 7);
    let report = watch.document_of(&Subjects::Named(vec![Pid(200)]));
    let document: Value = serde_json::from_str(&json::text(&report)).unwrap();
    let process = &document["processes"][0];
    assert_eq!(process["local_nodes"], json!([1]));
    assert_eq!(process["cpu"]["verdict"], "at-risk");
    assert_eq!(
        finding(&document, "memory-remote")["message"],
        "CPU and memory NUMA nodes do NOT match: process 200 runs on node 1, but it has 100% of its working memory on node 0 \
         (100 MiB: anonymous 100 MiB)"
    );
    assert_eq!(
        finding(&document, "cpu-unbound")["message"],
        "process 200 runs on node 1 but is not bound there: its CPU affinity allows nodes 0-1 (it spent 60% of its \
         CPU time there in 10 s and moved between nodes 7 times)"
    );
}

#[test]
fn on_another_node_of_the_socket() {
    let mut watch = Watch::of_unbound();
    for cpu in 0..4 {
        let file = format!("sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id");
        watch.tree.file(&file, "0\n");
    }
    watch.saw(100, [0, 9000], 0);
    watch.says(
        "cpu-near",
        "GPU 0 is attached to node 0, but trainer 100 runs on node 1 of the same socket (it spent 100% of its CPU time \
         there in 10 s; no CPU affinity binds it there)",
    );
}

#[test]
fn a_worker_that_works_elsewhere() {
    let mut watch = Watch::of(&PLACED);
    for pid in [101, 102] {
        watch.tree.process(&Process {
            pid,
            ppid: 100,
            name: "pt_data_worker",
            threads: &[(0, "0-3")],
            ..PLACED
        });
        watch.saw(pid, [1000, 3000], 2);
    }
    watch.says(
        "worker-split",
        "2 workers run on node 1 (they spent 75% of their CPU time there in 10 s and moved between nodes 4 times; no CPU \
         affinity binds them there), but their trainer 100 runs on node 0: samples cross the interconnect",
    );
}

#[test]
fn threads_are_where_they_spent_their_time() {
    let mut watch = Watch::of(&Process {
        threads: &[(0, "0-1"), (0, "0-3"), (0, "0-3"), (2, "0-3")],
        ..PLACED
    });
    watch.tree.name_thread(100, 101, "pt_autograd_0", 778, 0);
    watch.tree.name_thread(100, 102, "pt_autograd_1", 779, 0);
    watch.tree.name_thread(100, 103, "cuda-EvtHandlr", 780, 2);
    let threads = [(101, 778, [100, 300]), (102, 5, [0, 700])].map(|(tid, start, millis)| {
        let thread = ThreadActivity {
            start_time_ticks: start,
            cpu_time: cpu_time(millis),
        };
        (tid, thread)
    });
    watch.saw(100, [2700, 300], 0).threads = threads.into();
    watch.says(
        "threads-astray",
        "GPU 0 is attached to node 0, but trainer 100 is bound there only in part (only the main thread, as by taskset -p \
         without -a): 3 of 4 threads may run elsewhere (pt_autograd ×2, cuda-EvtHandlr), and 2 ran elsewhere most of the time; it spent 10% of its CPU \
         time elsewhere in 10 s",
    );
    let threads = &watch.json()["processes"][0]["cpu"]["threads"];
    assert_eq!(threads["by_node"], json!({"0": 2, "1": 2}));
}

/// A trainer that moved about, two workers, and counters.
pub fn busy() -> Watch {
    let mut watch = Watch::of_unbound();
    watch.saw(100, [1700, 5810], 14).pages_migrated = Some(25_600);
    for pid in [101, 102] {
        watch.tree.process(&Process {
            pid,
            ppid: 100,
            name: "pt_data_worker",
            ..PLACED
        });
    }
    watch.saw(101, [3000, 0], 0);
    watch.saw(102, [0, 0], 0);
    let node = [
        ("numa_hit", 9000),
        ("numa_miss", 12),
        ("numa_foreign", 0),
        ("other_node", 512),
    ];
    watch.window.node_counters = [
        (NodeId(0), Counters::from(node)),
        (
            NodeId(1),
            Counters::from([("numa_hit", 7), ("other_node", 0)]),
        ),
    ]
    .into();
    watch.window.vmstat = [("numa_hint_faults", 700), ("numa_pages_migrated", 25_600)].into();
    watch
}

#[test]
fn what_people_see() {
    let mut watch = busy();
    snapbox::assert_data_eq!(
        watch.table(80),
        str![[r#"
made-up, Linux 6.1.0, snapshot
2 NUMA nodes: node 0 CPUs 0-1; node 1 CPUs 2-3
Observed for 10 s, 100 times
Pages allocated meanwhile: node 0 numa_miss 12, other_node 512
NUMA balancing meanwhile: numa_pages_migrated 25600, numa_hint_faults 700

GPU 0  NVIDIA A100  0000:10:1c.0  home node 0 (sysfs)

GPU ROLE      PID     RANK GPU    CPU    CPUS MEM     MEMORY BY NODE   VERDICT
                           NODE   NODE        BINDING
0   trainer   100     -    0      1: 77% 0-3  [0, 1]  0: 100% 100 MiB  MISMATCH
                                  0: 23%
0   worker ×2 101-102 -    0      0      0-1  [0, 1]  0: 100% ≤100 MiB ok

error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to
  node 0, but trainer 100 runs on node 1 (it spent 77% of its CPU time there in
  10 s and moved between nodes 14 times; no CPU affinity binds it there)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
error[worker-split]: 2 workers are bound to node 0 (by CPU affinity), but their
  trainer 100 runs on node 1: samples cross the interconnect, and cross it back
  to the GPU
  fix: start the trainer with numactl --cpunodebind=0 --membind=0 (workers
    inherit the binding)
info[node-crowded]: trainer 100 and 2 workers belong on node 0, which has 2
  CPUs: binding all may slow them down
info[node-without-gpus]: no GPU is attached to node 1: binding every rank to its
  GPU's node leaves the CPUs of node 1 unused

3 processes: 2 ok, 0 at risk, 1 mismatched, 0 unknown

"#]]
    );
    snapbox::assert_data_eq!(
        watch.table(200),
        str![[r#"
made-up, Linux 6.1.0, snapshot
2 NUMA nodes: node 0 CPUs 0-1; node 1 CPUs 2-3
Observed for 10 s, 100 times
Pages allocated meanwhile: node 0 numa_miss 12, other_node 512
NUMA balancing meanwhile: numa_pages_migrated 25600, numa_hint_faults 700

GPU 0  NVIDIA A100  0000:10:1c.0  home node 0 (sysfs)

 GPU  ROLE       PID      USER  RANK  GPU NODE  CPU NODE  CPUS  MEM BINDING  MEMORY BY NODE    VERDICT   NAME            TASK                 KNOWN BY  KINDS OF MEMORY
 0    trainer    100      7     -     0         1: 77%    0-3   [0, 1]       0: 100% 100 MiB   MISMATCH  python3                              nvml      anonymous 100 MiB
                                                0: 23%
 0    worker ×2  101-102  7     -     0         0         0-1   [0, 1]       0: 100% ≤100 MiB  ok        pt_data_worker  PyTorch data loader  ancestor  anonymous 100 MiB

error[cpu-remote]: GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 runs on node 1 (it spent 77% of its CPU time there in 10 s and moved between nodes 14 times; no CPU
  affinity binds it there)
  fix: start it with numactl --cpunodebind=0 --membind=0
  run now: taskset -a -p -c 0-1 100
  note: memory that is already allocated stays where it is
error[worker-split]: 2 workers are bound to node 0 (by CPU affinity), but their trainer 100 runs on node 1: samples cross the interconnect, and cross it back to the GPU
  fix: start the trainer with numactl --cpunodebind=0 --membind=0 (workers inherit the binding)
info[node-crowded]: trainer 100 and 2 workers belong on node 0, which has 2 CPUs: binding all may slow them down
info[node-without-gpus]: no GPU is attached to node 1: binding every rank to its GPU's node leaves the CPUs of node 1 unused

3 processes: 2 ok, 0 at risk, 1 mismatched, 0 unknown

"#]]
    );
    watch.window.length = Duration::from_millis(3_200);
    watch.window.looks = 33;
    let table = watch.table(100);
    assert!(
        table.contains("\nObserved for 3.2 s of 10 s (interrupted), 33 times\n"),
        "{table}"
    );
}

#[test]
fn what_programs_see() {
    let document = busy().json();
    assert_eq!(
        document["window"],
        json!({
            "seconds": 10.004, "asked_seconds": 10.0, "looks": 100,
            "node_counters": {
                "0": {"numa_hit": 9000, "numa_miss": 12, "numa_foreign": 0, "other_node": 512},
                "1": {"numa_hit": 7, "other_node": 0},
            },
            "vmstat": {"numa_hint_faults": 700, "numa_pages_migrated": 25_600},
        })
    );
    let trainer = &document["processes"][0];
    assert_eq!(
        trainer["cpu"]["window"],
        json!({"cpu_seconds_by_node": {"0": 1.7, "1": 5.81}, "migrations": 14, "threads_moved": 1})
    );
    assert_eq!(trainer["memory"]["pages_migrated"], 25_600);
    assert_eq!(
        document["processes"][1]["memory"].get("pages_migrated"),
        None,
        "the kernel did not tell"
    );
}
