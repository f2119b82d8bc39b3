//! Audits of made-up machines that were observed for a while: two sockets with a node of two CPUs each, and a GPU on node 0.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::{Settings, audit};
use crate::document::{self, Document, Finding};
use crate::machine::{
    Backing, Context, Counters, CpuTime, Environment, Gpu, Machine, Memory, Node, Process,
    ProcessActivity, Thread, ThreadActivity, Topology, Window,
};
use crate::units::{Bytes, Cpu, CpuSet, NodeId, Pid, parse_cpu_list};
use crate::words::{HomeSource, Verdict, Word};

/// A machine that was observed for 10 seconds.
struct Observed {
    machine: Machine,
    window: Window,
}

/// When every process and its threads started, in clock ticks.
const START: u64 = 777;

fn cpus(list: &str) -> CpuSet {
    parse_cpu_list(list.as_bytes()).unwrap()
}

/// The two nodes, in these sockets.
fn topology(packages: [u32; 2]) -> Topology {
    let node = |id: u32, list: &str| Node {
        cpus: Some(cpus(list)),
        memory_total: Some(Bytes(1 << 30)),
        memory_free: None,
        memory_reclaimable: None,
        huge_pages: None,
        distances: [0, 1]
            .map(|to| (NodeId(to), if to == id { 10 } else { 21 }))
            .into(),
        package: Some(packages[id as usize]),
    };
    Topology::new([(NodeId(0), node(0, "0-1")), (NodeId(1), node(1, "2-3"))].into())
}

/// A process with 100 MiB on node 0. Of each thread, the main one first: its last CPU and its affinity.
fn process(pid: u32, ppid: u32, name: &str, threads: &[(u32, &str)]) -> Process {
    let made = (pid..).zip(threads).map(|(tid, (cpu, affinity))| Thread {
        tid,
        name: Some(name.into()),
        start_time_ticks: Some(START.into()),
        last_cpu: Some(Cpu(*cpu)),
        affinity: Some(Arc::new(cpus(affinity))),
    });
    let pages = BTreeMap::from([(NodeId(0), Bytes(100 << 20))]);
    Process {
        ppid: Pid(ppid),
        start_time_ticks: START,
        name: name.to_owned(),
        command: Some(vec!["python3".to_owned(), "train.py".to_owned()]),
        uid: Some(7),
        last_cpu: Cpu(threads[0].0),
        affinity: Some(cpus(threads[0].1)),
        mems_allowed: Some([NodeId(0), NodeId(1)].into()),
        threads: Some(made.collect()),
        memory: Some(Memory {
            pages: [(Backing::Anonymous, pages)].into(),
            ..Memory::default()
        }),
        environment: Some(Environment::default()),
        groups: Some([].into()),
        ..Process::bare(Pid(pid))
    }
}

fn cpu_time(millis: [u64; 2]) -> CpuTime {
    let mut time = CpuTime::default();
    for (node, millis) in (0..).zip(millis) {
        time.add(NodeId(node), Duration::from_millis(millis));
    }
    time
}

impl Observed {
    /// With trainer 100, which has these threads.
    fn with_trainer(threads: &[(u32, &str)]) -> Self {
        let gpu = Gpu {
            name: Some("NVIDIA A100".to_owned()),
            address: "0000:10:1c.0".parse().ok(),
            memory_used: Some(Bytes(1 << 30)),
            home_answers: [(HomeSource::Sysfs, [NodeId(0)].into())].into(),
            minor: Some(0),
            contexts: Some(Vec::new()),
            ..Gpu::default()
        };
        let mut observed = Self {
            machine: Machine {
                topology: topology([0, 1]),
                gpus: vec![gpu],
                ..Machine::default()
            },
            window: Window {
                asked: Duration::from_secs(10),
                length: Duration::from_millis(10_004),
                looks: 100,
                ..Window::default()
            },
        };
        observed.add_trainer(100, threads);
        observed
    }

    /// The trainer is bound to the GPU's node.
    fn with_bound_trainer() -> Self {
        Self::with_trainer(&[(0, "0-1")])
    }

    /// The trainer may run anywhere, and last ran on node 0.
    fn with_unbound_trainer() -> Self {
        Self::with_trainer(&[(0, "0-3")])
    }

    fn add_trainer(&mut self, pid: u32, threads: &[(u32, &str)]) {
        self.add(process(pid, 1, "python3", threads));
        let contexts = self.machine.gpus[0].contexts.as_mut().unwrap();
        contexts.push(Context {
            memory: None,
            pid: Pid(pid),
            instance: None,
        });
    }

    fn add_worker(&mut self, pid: u32, threads: &[(u32, &str)]) {
        self.add(process(pid, 100, "pt_data_worker", threads));
    }

    fn add(&mut self, process: Process) {
        self.machine.processes.push(process);
    }

    /// What a process used on either node, in milliseconds, and how often it moved.
    fn used(&mut self, pid: u32, millis: [u64; 2], migrations: u64) -> &mut ProcessActivity {
        let activity = ProcessActivity {
            start_time_ticks: START,
            cpu_time: cpu_time(millis),
            migrations,
            threads_moved: usize::from(migrations > 0),
            ..ProcessActivity::default()
        };
        self.window.processes.insert(Pid(pid), activity);
        self.window.processes.get_mut(&Pid(pid)).unwrap()
    }

    fn audit(&self) -> Document {
        let mut machine = self.machine.clone();
        machine.window = Some(self.window.clone());
        audit(machine, &Settings::default())
    }

    #[track_caller]
    fn reports(&self, rule: &str, message: &str) {
        assert_eq!(finding(&self.audit(), rule).message, message);
    }

    /// The verdict on the first process's CPUs.
    #[track_caller]
    fn judges(&self, verdict: Verdict) {
        let document = self.audit();
        assert_eq!(
            processes(&document)[0].cpu.verdict,
            Some(Word::Known(verdict))
        );
    }
}

#[track_caller]
fn finding<'a>(document: &'a Document, rule: &str) -> &'a Finding {
    let mut findings = document.findings.iter();
    match findings.find(|finding| finding.rule == rule) {
        Some(finding) => finding,
        None => panic!("no {rule} in {:#?}", document.findings),
    }
}

fn processes(document: &Document) -> &[document::ProcessEntry] {
    document.processes.as_deref().unwrap()
}

fn in_json(document: &Document) -> Value {
    serde_json::to_value(document).unwrap()
}

#[test]
fn cpu_time_counts_more_than_the_last_cpu() {
    let mut observed = Observed::with_unbound_trainer();
    observed.used(100, [1700, 8300], 14);
    observed.judges(Verdict::Mismatch);
    observed.reports(
        "cpu-remote",
        "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 runs on node 1 (it \
         spent 83% of its CPU time there in 10 s and moved between nodes 14 times; no CPU affinity binds it there)",
    );
    let document = observed.audit();
    let evidence = &finding(&document, "cpu-remote").evidence;
    assert_eq!(evidence["cpu_time_share"], 0.83);
    assert_eq!(evidence["migrations"], 14);
    assert_eq!(processes(&document)[0].cpu.node, Some(NodeId(1)));
}

#[test]
fn bound_and_unbound_processes_share_a_finding() {
    let mut observed = Observed::with_unbound_trainer();
    observed.add_trainer(200, &[(2, "2-3")]);
    observed.used(100, [1000, 3000], 3);
    observed.used(200, [0, 4000], 0);
    observed.reports(
        "cpu-remote",
        "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but 2 trainers run on node 1 (1 of 2 is \
         bound there by CPU affinity; they spent 88% of their CPU time there in 10 s and moved between nodes 3 times)",
    );
}

#[test]
fn up_to_a_tenth_of_the_cpu_time_elsewhere_is_not_a_mismatch() {
    let mut observed = Observed::with_unbound_trainer();
    observed.used(100, [9000, 1000], 1);
    observed.judges(Verdict::AtRisk);
    observed.reports(
        "cpu-unbound",
        "GPU 0 is attached to node 0; trainer 100 runs there but is not bound there: its CPU affinity allows nodes 0-1 (it \
         spent 90% of its CPU time there in 10 s and moved between nodes once)",
    );
    observed.used(100, [8990, 1010], 1);
    observed.judges(Verdict::Mismatch);
    let document = observed.audit();
    assert_eq!(processes(&document)[0].cpu.node, Some(NodeId(0)));
}

#[test]
fn a_process_that_is_bound_now_is_ok_wherever_it_ran_before() {
    let mut observed = Observed::with_bound_trainer();
    observed.used(100, [0, 9000], 0);
    observed.judges(Verdict::Ok);
    let document = observed.audit();
    assert_eq!(processes(&document)[0].cpu.node, Some(NodeId(1)));
}

#[test]
fn a_process_without_cpu_time_is_judged_by_its_last_cpu() {
    let mut observed = Observed::with_trainer(&[(2, "0-3")]);
    observed.used(100, [0, 0], 0);
    let by_last_cpu = "GPU and CPU NUMA nodes do NOT match: GPU 0 is attached to node 0, but trainer 100 runs on \
                       node 1 (it last ran there; no CPU affinity binds it there)";
    observed.reports("cpu-remote", by_last_cpu);
    let none = json!({"cpu_seconds_by_node": {}, "migrations": 0, "threads_moved": 0});
    let document = in_json(&observed.audit());
    assert_eq!(document["processes"][0]["cpu"]["window"], none);
    // An earlier process that had its PID says nothing about it.
    observed.used(100, [9000, 0], 0).start_time_ticks = 5;
    observed.reports("cpu-remote", by_last_cpu);
    assert_eq!(processes(&observed.audit())[0].cpu.window, None);
}

/// Its own node is where it ran most, so moving between nodes is not a mismatch.
#[test]
fn without_a_gpu_the_node_with_most_cpu_time_is_the_local_one() {
    let mut observed = Observed::with_bound_trainer();
    observed.machine.processes = vec![process(200, 1, "python3", &[(0, "0-3")])];
    observed.machine.named = vec![Pid(200)];
    observed.used(200, [2000, 3000], 7);
    let document = observed.audit();
    assert_eq!(
        processes(&document)[0].local_nodes,
        [NodeId(1)].into_iter().collect()
    );
    observed.judges(Verdict::AtRisk);
    observed.reports(
        "memory-remote",
        "CPU and memory NUMA nodes do NOT match: process 200 runs on node 1, but it has 100% of its working memory on node 0 \
         (100 MiB: anonymous 100 MiB)",
    );
    observed.reports(
        "cpu-unbound",
        "process 200 runs on node 1 but is not bound there: its CPU affinity allows nodes 0-1 (it spent 60% of its \
         CPU time there in 10 s and moved between nodes 7 times)",
    );
}

#[test]
fn cpu_time_on_the_other_node_of_the_socket_is_near() {
    let mut observed = Observed::with_unbound_trainer();
    observed.machine.topology = topology([0, 0]);
    observed.used(100, [0, 9000], 0);
    observed.reports(
        "cpu-near",
        "GPU 0 is attached to node 0, but trainer 100 runs on node 1 of the same socket (it spent 100% of its CPU time \
         there in 10 s; no CPU affinity binds it there)",
    );
}

#[test]
fn workers_that_ran_mostly_elsewhere_are_split_from_their_trainer() {
    let mut observed = Observed::with_bound_trainer();
    for pid in [101, 102] {
        observed.add_worker(pid, &[(0, "0-3")]);
        observed.used(pid, [1000, 3000], 2);
    }
    observed.reports(
        "worker-split",
        "2 workers run on node 1 (they spent 75% of their CPU time there in 10 s and moved between nodes 4 times; no CPU \
         affinity binds them there), but their trainer 100 runs on node 0: samples cross the interconnect",
    );
}

#[test]
fn threads_are_where_they_used_most_cpu_time() {
    let mut observed = Observed::with_trainer(&[(0, "0-1"), (0, "0-3"), (0, "0-3"), (2, "0-3")]);
    let threads = observed.machine.processes[0].threads.as_mut().unwrap();
    let named = [
        ("pt_autograd_0", 778),
        ("pt_autograd_1", 779),
        ("cuda-EvtHandlr", 780),
    ];
    for (thread, (name, start)) in threads[1..].iter_mut().zip(named) {
        (thread.name, thread.start_time_ticks) = (Some(name.into()), Some(start.into()));
    }
    // The CPU time of 102 is that of an earlier thread with this TID.
    let activity = [(101, 778, [100, 300]), (102, 5, [0, 700])].map(|(tid, start, millis)| {
        let thread = ThreadActivity {
            start_time_ticks: start,
            cpu_time: cpu_time(millis),
            ..ThreadActivity::default()
        };
        (tid, thread)
    });
    observed.used(100, [2700, 300], 0).threads = activity.into();
    observed.reports(
        "threads-astray",
        "GPU 0 is attached to node 0, but trainer 100 is bound there only in part (only the main thread, as by taskset -p \
         without -a): 3 of 4 threads may run elsewhere (pt_autograd ×2, cuda-EvtHandlr), and 2 ran elsewhere most of the \
         time; it spent 10% of its CPU time elsewhere in 10 s",
    );
    let document = in_json(&observed.audit());
    let threads = &document["processes"][0]["cpu"]["threads"];
    assert_eq!(threads["by_node"], json!({"0": 2, "1": 2}));
}

/// A trainer that moved, a busy and an idle worker, and counters of the kernel.
fn busy() -> Observed {
    let mut observed = Observed::with_unbound_trainer();
    observed.used(100, [1700, 5810], 14).pages_migrated = Some(25_600);
    for (pid, millis) in [(101, [3000, 0]), (102, [0, 0])] {
        observed.add_worker(pid, &[(0, "0-1")]);
        observed.used(pid, millis, 0);
    }
    let node = [
        ("numa_hit", 9000),
        ("numa_miss", 12),
        ("numa_foreign", 0),
        ("other_node", 512),
    ];
    let other = [("numa_hit", 7), ("other_node", 0)];
    observed.window.node_counters = [
        (NodeId(0), Counters::from(node)),
        (NodeId(1), Counters::from(other)),
    ]
    .into();
    observed.window.vmstat = [("numa_hint_faults", 700), ("numa_pages_migrated", 25_600)].into();
    observed
}

#[test]
fn the_document_has_the_window() {
    let document = in_json(&busy().audit());
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
        "the kernel did not report it"
    );
}

#[test]
fn a_trainer_that_moved_is_split_from_its_bound_workers() {
    let document = busy().audit();
    let rules: Vec<&str> = document
        .findings
        .iter()
        .map(|of| of.rule.as_str())
        .collect();
    assert_eq!(
        rules,
        [
            "cpu-remote",
            "worker-split",
            "node-crowded",
            "node-without-gpus"
        ]
    );
    assert_eq!(
        finding(&document, "worker-split").message,
        "2 workers are bound to node 0 (by CPU affinity), but their trainer 100 runs on node 1: samples cross the \
         interconnect, and cross it back to the GPU"
    );
}

#[test]
fn a_document_with_a_window_is_read_as_it_was_written() {
    let document = busy().audit();
    let text = serde_json::to_vec(&document).unwrap();
    assert_eq!(document::read(&text), Ok(document));
}
