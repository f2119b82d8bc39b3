//! Compares a running job with a plan, rank by rank.

use std::collections::BTreeSet;

use crate::compare::expected::{Comparison, Difference, Unexpected};
use crate::document::{Document, GpuEntry, PlanDocument, PlannedRank, ProcessEntry};
use crate::units::{CpuSet, NodeSet, node_list, ranges};
use crate::words::Role;

/// Compares `found` with the plan. A map has no processes: only the GPUs are compared then. `is_partial` and `is_open`: as in
/// [`crate::compare::expected::compare`].
pub(super) fn compare(
    plan: &PlanDocument,
    found: &Document,
    is_partial: bool,
    is_open: bool,
) -> Comparison {
    let mut comparison = Comparison::default();
    let mut missing = Vec::new();
    for rank in &plan.ranks {
        comparison.gpu(rank, found);
        if found.processes.is_some() && !comparison.rank(rank, found) {
            missing.push(rank.rank);
        }
    }
    if !missing.is_empty() && !is_partial {
        comparison.missing(missing, is_open);
    }
    comparison
}

impl Comparison {
    /// Compares where the GPU of a rank is.
    fn gpu(&mut self, rank: &PlannedRank, found: &Document) {
        let name = format!("GPU of rank {}", rank.rank);
        let Some(gpu) = gpu_of(rank, found) else {
            let wanted = rank.uuid.clone();
            let wanted = wanted.unwrap_or_else(|| rank.gpu.to_string());
            self.differs(None, name, wanted, "none".to_owned());
            return;
        };
        let Some(node) = rank.node else { return };
        let what = format!("node of the {name}");
        if gpu.local_nodes.is_empty() {
            self.is_unknown(&what, "it is unknown here");
        } else if !gpu.local_nodes.contains(&node) {
            let local = node_list(&gpu.local_nodes);
            self.differs(Some(gpu.index), what, node.to_string(), local);
        }
    }

    /// Compares the processes of a rank. Returns whether there are any.
    fn rank(&mut self, rank: &PlannedRank, found: &Document) -> bool {
        let whose = format!("trainer of rank {}", rank.rank);
        let gpu = gpu_of(rank, found).map(|gpu| gpu.index);
        let trainers = trainers(rank, gpu, found);
        let exists = !trainers.is_empty();
        for trainer in trainers {
            let mut facts: Vec<PlannedFact> =
                gpu.map(|gpu| uses(trainer, gpu)).into_iter().collect();
            facts.push(cpus(trainer, &rank.cpus));
            facts.push(policy(trainer, &rank.memory_nodes));
            self.process(whose.clone(), trainer, facts);
            let workers = found.processes().iter();
            let workers =
                workers.filter(|of| of.is(Role::Worker) && of.trainer_pid == Some(trainer.pid));
            for worker in workers {
                let whose = format!("workers of rank {}", rank.rank);
                let facts = vec![within(worker, rank), policy(worker, &rank.memory_nodes)];
                self.process(whose, worker, facts);
            }
        }
        exists
    }

    /// Ranks without a trainer. Where processes may be hidden (`is_open`), it is unknown whether one exists.
    fn missing(&mut self, ranks: Vec<u32>, is_open: bool) {
        let (what, expected) = match ranks.as_slice() {
            [rank] => (format!("trainer of rank {rank}"), "one"),
            several => {
                let several = ranges(several.iter().copied());
                (format!("trainers of ranks {several}"), "one each")
            }
        };
        if is_open {
            self.is_unknown(&what, "it is unknown here");
        } else {
            self.differs(None, what, expected.to_owned(), "none".to_owned());
        }
    }

    /// Adds what differs of one process. Processes with the same differences share an entry.
    fn process(&mut self, whose: String, process: &ProcessEntry, facts: Vec<PlannedFact>) {
        let mut differences = Vec::new();
        for fact in facts {
            match fact {
                PlannedFact::AsPlanned => {}
                PlannedFact::Unknown(what) => {
                    self.is_unknown(&format!("{what} of the {whose}"), "it is unknown here");
                }
                PlannedFact::Differs(difference) => differences.push(difference),
            }
        }
        if differences.is_empty() {
            return;
        }
        let is_same = |of: &&mut Unexpected| {
            of.whose.as_ref() == Some(&whose) && of.differences == differences
        };
        match self.unexpected.iter_mut().find(is_same) {
            Some(same) => same.pids.push(process.pid),
            None => self.unexpected.push(Unexpected {
                gpus: process.gpus.clone(),
                pids: vec![process.pid],
                whose: Some(whose),
                differences,
            }),
        }
    }
}

/// One fact of a process against the plan.
enum PlannedFact {
    AsPlanned,
    /// What is unknown.
    Unknown(&'static str),
    Differs(Difference),
}

impl PlannedFact {
    fn of(is_planned: bool, what: &str, expected: String, found: String) -> Self {
        if is_planned {
            return Self::AsPlanned;
        }
        Self::Differs(Difference {
            what: what.to_owned(),
            expected,
            found,
        })
    }
}

/// The GPU of a rank, by UUID. Where that is unknown by its PCI address, then by its index.
fn gpu_of<'a>(rank: &PlannedRank, found: &'a Document) -> Option<&'a GpuEntry> {
    let gpus = &found.topology.gpus;
    let by = |is_it: &dyn Fn(&GpuEntry) -> bool| gpus.iter().find(|gpu| is_it(gpu));
    let has_uuids = rank.uuid.is_some() && gpus.iter().any(|gpu| gpu.uuid.is_some());
    let has_addresses =
        rank.pci_bus_id.is_some() && gpus.iter().any(|gpu| gpu.pci_bus_id.is_some());
    if has_uuids {
        by(&|gpu| gpu.uuid == rank.uuid)
    } else if has_addresses {
        by(&|gpu| gpu.pci_bus_id == rank.pci_bus_id)
    } else {
        by(&|gpu| gpu.index == rank.gpu)
    }
}

/// The trainers of a rank: those that have its number, of several jobs those on its GPU. Where no trainer has it, those without
/// any number on its GPU.
fn trainers<'a>(
    rank: &PlannedRank,
    gpu: Option<u32>,
    found: &'a Document,
) -> Vec<&'a ProcessEntry> {
    let number = |of: &ProcessEntry| of.local_rank.or(of.rank);
    let on_gpu = |of: &ProcessEntry| gpu.is_some_and(|gpu| of.gpus.contains(&gpu));
    let trainers = || found.processes().iter().filter(|of| of.is(Role::Trainer));
    let numbered: Vec<_> = trainers()
        .filter(|of| number(of) == Some(rank.rank))
        .collect();
    if numbered.iter().any(|of| on_gpu(of)) {
        return numbered.into_iter().filter(|of| on_gpu(of)).collect();
    }
    if !numbered.is_empty() {
        return numbered;
    }
    trainers()
        .filter(|of| number(of).is_none() && on_gpu(of))
        .collect()
}

fn uses(trainer: &ProcessEntry, gpu: u32) -> PlannedFact {
    let found = ranges(trainer.gpus.iter().copied());
    PlannedFact::of(trainer.gpus == [gpu], "GPU", gpu.to_string(), found)
}

fn cpus(process: &ProcessEntry, planned: &CpuSet) -> PlannedFact {
    let Some(affinity) = &process.cpu.affinity else {
        return PlannedFact::Unknown("CPU affinity");
    };
    let is_planned = affinity == planned;
    PlannedFact::of(
        is_planned,
        "CPU affinity",
        planned.to_string(),
        affinity.to_string(),
    )
}

/// A loader has its own CPUs or, where nothing binds it, those of its rank.
fn within(worker: &ProcessEntry, rank: &PlannedRank) -> PlannedFact {
    let Some(affinity) = &worker.cpu.affinity else {
        return PlannedFact::Unknown("CPU affinity");
    };
    let is_planned = affinity.iter().all(|cpu| rank.cpus.contains(cpu));
    let planned = format!("CPUs of {}", rank.worker_cpus);
    PlannedFact::of(is_planned, "CPU affinity", planned, affinity.to_string())
}

/// A process without a policy takes memory where it runs, which is as planned.
fn policy(process: &ProcessEntry, planned: &NodeSet) -> PlannedFact {
    let mode = match process.memory.policy.as_deref() {
        None => return PlannedFact::Unknown("memory policy"),
        Some("default" | "local") => return PlannedFact::AsPlanned,
        Some(mode) => mode,
    };
    let Some(nodes) = &process.memory.policy_nodes else {
        return PlannedFact::Unknown("memory policy");
    };
    let outside: BTreeSet<_> = nodes.difference(planned).collect();
    let found = format!("{mode} {}", node_list(nodes));
    let planned = format!("nodes {}", node_list(planned));
    PlannedFact::of(outside.is_empty(), "memory policy", planned, found)
}
