//! The rules, a file for each, named as the rule. A further rule is a file here and a line in [`RULES`].

mod cpu_near;
mod cpu_remote;
mod cpu_unbound;
mod cpuset_excludes_gpu;
mod memory_near;
mod memory_remote;
mod sources_disagree;
mod threads_astray;

use std::collections::{BTreeMap, BTreeSet};

use super::Audited;
use super::attribution::Role;
use super::finding::{Finding, Severity};
use super::home::GpuPlace;
use super::memory::MemoryKind;
use super::verdict::Locality;
use crate::model::cpus::{CpuSet, ranges};
use crate::model::memory::Bytes;
use crate::model::topology::{NodeId, NodeSet, Topology, node_list};

/// A rule.
struct Rule {
    /// Its public name.
    name: &'static str,
    severity: Severity,
    /// Finds those that break it.
    check: for<'a> fn(&Scene<'a>) -> Vec<Broken<'a>>,
}

const RULES: &[Rule] = &[
    cpu_remote::RULE,
    memory_remote::RULE,
    cpuset_excludes_gpu::RULE,
    cpu_near::RULE,
    cpu_unbound::RULE,
    threads_astray::RULE,
    memory_near::RULE,
    sources_disagree::RULE,
];

/// What a rule looks at.
struct Scene<'a> {
    processes: &'a [Audited],
    gpus: &'a [GpuPlace],
    topology: &'a Topology,
}

/// Processes that break a rule together, or a GPU, and what is to be said of it.
struct Broken<'a> {
    gpu: Option<u32>,
    group: Vec<&'a Audited>,
    message: String,
    remedy: String,
}

/// Applies every rule; the worst findings come first.
pub fn check(processes: &[Audited], gpus: &[GpuPlace], topology: &Topology) -> Vec<Finding> {
    let scene = Scene {
        processes,
        gpus,
        topology,
    };
    let mut findings: Vec<Finding> = Vec::new();
    for rule in RULES {
        let broken = (rule.check)(&scene).into_iter();
        findings.extend(broken.map(|broken| {
            Finding {
                rule: rule.name,
                severity: rule.severity,
                gpu: broken.gpu,
                pids: broken
                    .group
                    .iter()
                    .map(|audited| audited.process.pid)
                    .collect(),
                message: broken.message,
                remedy: broken.remedy,
            }
        }));
    }
    findings.sort_by_key(|finding| finding.severity);
    findings
}

impl<'a> Scene<'a> {
    /// The judged processes for which `is_broken` holds, those of the same GPUs together, and apart from these those that
    /// can do nothing about it. A process without a GPU stands for itself.
    fn groups(&self, is_broken: impl Fn(&Audited) -> bool) -> Vec<Vec<&'a Audited>> {
        let judged = self.processes.iter().filter(|audited| audited.is_judged());
        let mut groups: BTreeMap<_, Vec<&Audited>> = BTreeMap::new();
        for audited in judged.filter(|audited| is_broken(audited)) {
            let alone = audited.part.gpus.is_empty().then_some(audited.process.pid);
            let key = (audited.part.gpus.clone(), self.is_walled(audited), alone);
            groups.entry(key).or_default().push(audited);
        }
        groups.into_values().collect()
    }

    /// How to bring a group to its local nodes, and what that does not do.
    fn bind(&self, group: &[&Audited], but: &str) -> String {
        let local = &group[0].local_nodes;
        if self.is_walled(group[0]) {
            return "no binding of its own can: see cpuset-excludes-gpu".to_owned();
        }
        let nodes = node_list(local);
        let cpus = cpus_of(local, self.topology);
        let start = match group[0].part.gpus.as_slice() {
            [] => "start it with",
            _ => "start this rank alone (a launcher would pass it on to all ranks) with",
        };
        // numactl refuses a node without memory.
        let with = match self.has_memory(local) {
            true => format!("numactl --cpunodebind={nodes} --membind={nodes}"),
            false => format!("taskset -c {cpus}"),
        };
        format!(
            "{start} {with}; a running process moves with taskset -a -p -c {cpus} {}{but}",
            pid(group),
        )
    }

    /// Whether its control group keeps it from its local nodes, so that it cannot go there itself.
    fn is_walled(&self, audited: &Audited) -> bool {
        lacks_cpus(audited) || self.lacks_memory(audited)
    }

    /// Whether its control group allows it none of its local nodes' memory, where these have any.
    fn lacks_memory(&self, audited: &Audited) -> bool {
        let (allowed, local) = (&audited.memory.mems_allowed, &audited.local_nodes);
        let is_off = |allowed: &NodeSet| !local.is_empty() && allowed.is_disjoint(local);
        allowed.as_ref().is_some_and(is_off) && self.has_memory(local)
    }

    /// Whether memory can be bound to these nodes, as far as is known.
    fn has_memory(&self, nodes: &NodeSet) -> bool {
        let none = Some(Bytes(0));
        let mut nodes = nodes.iter().filter_map(|id| self.topology.nodes().get(id));
        nodes.all(|node| node.memory_total != none)
    }
}

/// The GPU of a group, the first of several.
fn gpu_of(group: &[&Audited]) -> Option<u32> {
    group.first()?.part.gpus.first().copied()
}

/// `node 1`, `nodes 0-1`
fn on_nodes(nodes: &NodeSet) -> String {
    let word = if nodes.len() == 1 { "node" } else { "nodes" };
    format!("{word} {}", node_list(nodes))
}

/// `GPU 0 hangs on node 0, trainer 254 and 4 workers` or, without a GPU, `process 250 runs on node 1 and`.
fn subject(group: &[&Audited]) -> String {
    let first = group[0];
    let home = on_nodes(&first.home_nodes);
    match first.part.gpus.as_slice() {
        [] => format!(
            "{} runs on {} and",
            who(group),
            on_nodes(&first.local_nodes)
        ),
        [gpu] => format!("GPU {gpu} hangs on {home}, {}", who(group)),
        gpus => format!(
            "GPUs {} hang on {home}, {}",
            ranges(gpus.iter().copied()),
            who(group)
        ),
    }
}

/// `trainer 254 and 4 workers`
fn who(group: &[&Audited]) -> String {
    let of_role = |role| {
        group
            .iter()
            .filter(move |audited| audited.part.role == role)
    };
    let mut words = Vec::new();
    for (role, one) in [
        (Some(Role::Trainer), "trainer"),
        (Some(Role::Worker), "worker"),
        (None, "process"),
    ] {
        let pids: Vec<_> = of_role(role).map(|audited| audited.process.pid).collect();
        match pids.as_slice() {
            [] => {}
            [pid] => words.push(format!("{one} {pid}")),
            several => words.push(format!("{} {one}s", several.len())),
        }
    }
    words.join(" and ")
}

/// The PID to put into a command line; of several the word.
fn pid(group: &[&Audited]) -> String {
    match group {
        [one] => one.process.pid.to_string(),
        _ => "PID".to_owned(),
    }
}

/// The CPUs of these nodes, as `taskset -c` takes them.
fn cpus_of(nodes: &NodeSet, topology: &Topology) -> CpuSet {
    let nodes = nodes.iter().filter_map(|id| topology.nodes().get(id));
    nodes
        .flat_map(|node| node.cpus.iter().flat_map(CpuSet::iter))
        .collect()
}

/// The CPU nodes where a group is not held: where it is bound to, else where it last ran.
fn cpu_nodes(group: &[&Audited]) -> NodeSet {
    let on = group
        .iter()
        .flat_map(|audited| match is_bound_off(audited) {
            true => audited.cpu.affinity_nodes.iter().collect::<Vec<_>>(),
            // One that was bound in its sleep has not been there yet.
            false => audited.cpu.node.iter().collect(),
        });
    on.copied().collect()
}

/// Whether its control group leaves it no CPU on its local nodes, so that no affinity could be right. `false` where that
/// is not known.
fn lacks_cpus(audited: &Audited) -> bool {
    let given = audited.cpu.cpuset_nodes.as_ref();
    given.is_some_and(|nodes| {
        !audited.local_nodes.is_empty() && nodes.is_disjoint(&audited.local_nodes)
    })
}

/// Whether it may run on none of its local nodes.
fn is_bound_off(audited: &Audited) -> bool {
    let allowed = &audited.cpu.affinity_nodes;
    !allowed.is_empty() && allowed.is_disjoint(&audited.local_nodes)
}

/// Memory off the local nodes, as far as `least` and farther: `trainer 254 has 100% of its working memory on node 1
/// (80 MiB: anonymous 56 MiB, pinned 24 MiB)`, with what is needed to move it.
struct OffMemory {
    text: String,
    from: NodeSet,
}

impl OffMemory {
    fn of(group: &[&Audited], least: Locality) -> Self {
        let mut from = BTreeSet::<NodeId>::new();
        let mut kinds: BTreeMap<MemoryKind, Bytes> = BTreeMap::new();
        let (mut largest, mut share) = (Bytes(0), (0.0, String::new()));
        for pages in group
            .iter()
            .filter_map(|audited| audited.memory.pages.as_ref())
        {
            let is_off = |node: &NodeId| pages.locality.get(node) >= Some(&least);
            let off_of = |by_node: &BTreeMap<NodeId, Bytes>| {
                let off = by_node.iter().filter(|(node, _)| is_off(node));
                off.map(|(_, bytes)| *bytes).sum::<Bytes>()
            };
            let off = off_of(&pages.by_node);
            let all: Bytes = pages.by_node.values().copied().sum();
            from.extend(pages.by_node.keys().filter(|node| is_off(node)));
            largest = largest.max(off);
            let fraction = off.0 as f64 / all.0.max(1) as f64;
            if fraction >= share.0 {
                share = (fraction, off.percent_of(all));
            }
            for (kind, by_node) in pages
                .by_kind
                .iter()
                .filter(|(kind, _)| **kind != MemoryKind::File)
            {
                // Processes share pages, so the largest of them stands for all.
                let of_kind = kinds.entry(*kind).or_default();
                *of_kind = (*of_kind).max(off_of(by_node));
            }
        }
        let kinds = kinds.iter().filter(|(_, bytes)| bytes.0 > 0);
        let kinds: Vec<String> = kinds
            .map(|(kind, bytes)| format!("{kind} {bytes}"))
            .collect();
        let (have, up_to, each) = match group {
            [_] => ("has", "", ""),
            _ => ("have", "up to ", " each"),
        };
        Self {
            text: format!(
                "{} {have} {up_to}{} of the working memory on {} ({up_to}{largest}{each}: {})",
                subject(group),
                share.1,
                on_nodes(&from),
                kinds.join(", "),
            ),
            from,
        }
    }

    fn remedy(&self, scene: &Scene, group: &[&Audited]) -> String {
        let local = &group[0].local_nodes;
        if !scene.has_memory(local) {
            return format!(
                "{} has no memory of its own: nothing can be nearer than its nearest",
                on_nodes(local)
            );
        }
        let pages = format!(
            "; pages that are there already move with migratepages {} {} {}, pinned ones do not",
            pid(group),
            node_list(&self.from),
            node_list(&group[0].local_nodes),
        );
        scene.bind(group, &pages)
    }
}
