//! The metrics of each GPU: the processes that work for it.

use std::collections::{BTreeMap, BTreeSet};

use super::family::Family;
use super::gpu_label;
use super::places::{ByPlace, Places};
use crate::document::{Document, GpuEntry, ProcessEntry};
use crate::units::{Bytes, NodeId};
use crate::words::{Evidence, MemoryKind, Role, Verdict, Vocabulary};

/// A GPU, and the trainers and workers that use it.
struct GpuUse<'a> {
    /// The labels of all of its series.
    labels: Vec<(&'static str, String)>,
    /// `None` for processes of which the GPU is unknown.
    gpu: Option<&'a GpuEntry>,
    processes: Vec<&'a ProcessEntry>,
}

/// All metrics that have a label for the GPU. `by_job` adds one for the job that uses it.
pub(super) fn families(document: &Document, by_job: bool) -> Vec<Family> {
    let mut processes = Family::new(
        "processes",
        "Processes that work for a GPU, by verdict. Where not all of its processes are known, a verdict that none has is left out",
    );
    let mut memory = Family::new(
        "memory_bytes",
        "Working memory of the processes of a GPU, by how far its nodes are from the GPU",
    );
    let mut pinned = Family::new("pinned_bytes", "Of that memory, what is pinned");
    let mut astray = Family::new(
        "threads_astray",
        "Threads of the processes of a GPU that ran off its local nodes",
    );
    let mut time = Family::new(
        "cpu_time_ratio",
        "Share of the CPU time of the processes of a GPU, by how far the nodes are on which it was spent",
    );
    for of_gpu in uses(document, by_job) {
        of_gpu.add_processes(&mut processes);
        of_gpu.add_by_place(&mut memory, of_gpu.memory());
        of_gpu.add_by_place(&mut pinned, of_gpu.pinned());
        if let Some(threads) = of_gpu.astray() {
            astray.add(of_gpu.labels.clone(), threads);
        }
        of_gpu.add_by_place(&mut time, of_gpu.cpu_time());
    }
    vec![processes, memory, pinned, astray, time]
}

/// The GPUs that the audit covers, and those that its processes use.
fn uses(document: &Document, by_job: bool) -> Vec<GpuUse<'_>> {
    let of_jobs = || document.processes().iter().filter(|of| of.is_of_job());
    let known = document.topology.gpus.iter().map(|gpu| {
        let processes = of_jobs().filter(|process| process.gpus.contains(&gpu.index));
        GpuUse::new(Some(gpu), processes.collect(), by_job)
    });
    let without = of_jobs().filter(|process| process.gpus.is_empty());
    let unknown = GpuUse::new(None, without.collect(), by_job);
    let is_shown = |of: &GpuUse| {
        let is_asked = of.gpu.is_some_and(|gpu| gpu.in_scope != Some(false));
        is_asked || !of.processes.is_empty()
    };
    known.chain([unknown]).filter(is_shown).collect()
}

/// The job that uses a GPU: one name a GPU at most, so that the number of series is bounded. Empty without a job.
fn job(processes: &[&ProcessEntry]) -> String {
    let jobs = processes.iter().filter_map(|process| {
        let scheduled = process.scheduler_jobs.first().map(|job| &job.id);
        process.job.as_ref().or(scheduled)
    });
    let jobs: BTreeSet<&String> = jobs.collect();
    let mut jobs = jobs.into_iter();
    match (jobs.next(), jobs.next()) {
        (None, _) => String::new(),
        (Some(_), Some(_)) => "several".to_owned(),
        (Some(job), None) if is_plain(job) => job.clone(),
        // It may come from the environment of a process.
        _ => "other".to_owned(),
    }
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+[]:/@".contains(&byte);
    !name.is_empty() && name.len() <= 64 && name.bytes().all(is_plain)
}

impl<'a> GpuUse<'a> {
    fn new(gpu: Option<&'a GpuEntry>, processes: Vec<&'a ProcessEntry>, by_job: bool) -> Self {
        let name = gpu.map_or_else(|| "unknown".to_owned(), gpu_label);
        let mut labels = vec![("gpu", name)];
        if by_job {
            labels.push(("job", job(&processes)));
        }
        Self {
            labels,
            gpu,
            processes,
        }
    }

    /// Whether all processes that use the GPU are known and could be looked at.
    fn is_whole(&self) -> bool {
        self.gpu.is_some_and(|gpu| {
            gpu.processes_known != Some(false) && gpu.unseen_processes.is_empty()
        })
    }

    fn add_processes(&self, family: &mut Family) {
        for role in [Role::Trainer, Role::Worker] {
            for (verdict, word, _) in Verdict::WORDS {
                let processes = self.processes.iter().filter(|of| of.is(role));
                let of_verdict = |of: &&&ProcessEntry| {
                    let own = of.verdict.as_ref().and_then(|word| word.known());
                    own.unwrap_or(Verdict::Unknown) == *verdict
                };
                let count = processes.filter(of_verdict).count();
                if count > 0 || self.is_whole() {
                    let own = [("role", role.to_string()), ("verdict", (*word).to_owned())];
                    family.add(self.labels.iter().cloned().chain(own), count);
                }
            }
        }
    }

    fn add_by_place<T: std::fmt::Display>(
        &self,
        family: &mut Family,
        by_place: Option<ByPlace<T>>,
    ) {
        for (place, number) in by_place.into_iter().flatten() {
            let own = [("place", place.to_owned())];
            family.add(self.labels.iter().cloned().chain(own), number);
        }
    }

    /// The sum of what each process has on each node; `None` where it is unknown of one, or a process is missing.
    fn by_node<T: Copy + Default + std::ops::AddAssign>(
        &self,
        of_process: impl Fn(&ProcessEntry) -> Option<BTreeMap<NodeId, T>>,
    ) -> Option<BTreeMap<NodeId, T>> {
        let mut sum = BTreeMap::new();
        for process in &self.processes {
            for (node, number) in of_process(process)? {
                *sum.entry(node).or_default() += number;
            }
        }
        self.is_whole().then_some(sum)
    }

    fn memory(&self) -> Option<ByPlace<u64>> {
        let of_process = |process: &ProcessEntry| process.memory.by_node_bytes.as_ref().map(plain);
        Some(Places::of_memory(self.gpu?)?.sum(&self.by_node(of_process)?))
    }

    fn pinned(&self) -> Option<ByPlace<u64>> {
        // Pinned memory is known of NVIDIA's driver alone.
        let is_other = |of: &&ProcessEntry| {
            let source = of.gpu_source.as_ref();
            source.is_some_and(|source| *source == Evidence::Kfd || *source == Evidence::Drm)
        };
        if self.processes.iter().any(is_other) {
            return None;
        }
        let of_process = |process: &ProcessEntry| {
            let by_kind = process.memory.by_kind.as_ref()?;
            Some(
                by_kind
                    .get(&MemoryKind::Pinned.into())
                    .map(plain)
                    .unwrap_or_default(),
            )
        };
        Some(Places::of_memory(self.gpu?)?.sum(&self.by_node(of_process)?))
    }

    fn astray(&self) -> Option<usize> {
        let threads = self.processes.iter().map(|process| process.astray());
        threads.sum::<Option<usize>>().filter(|_| self.is_whole())
    }

    /// Shares of 1; `None` without CPU time too.
    fn cpu_time(&self) -> Option<ByPlace<f64>> {
        let of_process = |process: &ProcessEntry| {
            let window = process.cpu.window.as_ref()?;
            Some(window.cpu_seconds_by_node.clone())
        };
        let by_node = self.by_node(of_process)?;
        let all: f64 = by_node.values().sum();
        let times = Places::of_cpus(self.gpu?)?.sum(&by_node);
        // An empty sum of floating point numbers is -0.
        (all > 0.0).then(|| times.map(|(place, time)| (place, time.abs() / all)))
    }
}

fn plain(by_node: &BTreeMap<NodeId, Bytes>) -> BTreeMap<NodeId, u64> {
    by_node
        .iter()
        .map(|(node, bytes)| (*node, bytes.0))
        .collect()
}
