//! One process: where it is, where it should be, and its verdict.

use std::collections::BTreeMap;

use crate::audit::Settings;
use crate::audit::place::verdict::at_best_at_risk;
use crate::audit::place::{
    CpuPlace, FedFromElsewhere, GpuPlace, LocalNodes, Locality, MemoryPlace, Verdict,
};
use crate::audit::place::{cpu, home, memory};
use crate::audit::target::Target;
use crate::jobs::{Membership, scheduler};
use crate::machine::{CpuTime, Process, ProcessActivity, SchedulerJob, Topology};
use crate::units::{NodeId, NodeSet};
use crate::words::Role;

/// One process, judged.
#[derive(Debug, Clone)]
pub(crate) struct PlacedProcess {
    /// As it was observed.
    pub(crate) process: Process,
    /// What was observed of it over time; `None` without --for.
    pub(crate) watched: Option<ProcessActivity>,
    /// What it does in the job.
    pub(crate) membership: Membership,
    /// The home nodes of its GPUs.
    pub(crate) home_nodes: NodeSet,
    /// Where it should run. Empty where that is unknown, and for a launcher.
    pub(crate) local_nodes: NodeSet,
    /// Where its memory should be. Empty where that is unknown, and for a launcher.
    pub(crate) local_memory_nodes: NodeSet,
    /// Where its threads are.
    pub(crate) cpu: CpuPlace,
    /// How far the CPUs of each node of the machine are from its local nodes; empty where these are unknown.
    pub(crate) locality: BTreeMap<NodeId, Locality>,
    /// How far the memory of each node is from its local memory nodes; empty where these are unknown.
    pub(crate) memory_locality: BTreeMap<NodeId, Locality>,
    /// Where its memory is.
    pub(crate) memory: MemoryPlace,
    /// Where it should be, and what is in the way. `None` for a process that is not judged, and where its local nodes are
    /// unknown.
    pub(crate) target: Option<Target>,
    /// The GPUs that it feeds from nodes of its other GPUs; `None` if there are none.
    pub(crate) fed_from_elsewhere: Option<FedFromElsewhere>,
    /// The worse verdict of CPU and memory. `None` for launchers and helpers, which are not judged.
    pub(crate) verdict: Option<Verdict>,
    /// What it belongs to.
    pub(crate) names: JobNames,
}

/// The names of what a process belongs to, from its control groups and its environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct JobNames {
    pub(crate) container: Option<String>,
    /// Its Slurm job.
    pub(crate) slurm_job: Option<String>,
    /// Its jobs of all schedulers.
    pub(crate) scheduler_jobs: Vec<SchedulerJob>,
    /// The UID of its Kubernetes pod.
    pub(crate) pod: Option<String>,
}

impl JobNames {
    fn of(process: &Process) -> Self {
        let groups = process.groups.as_deref().unwrap_or_default();
        let environment = process.environment.as_ref();
        let scheduler_jobs = scheduler::scheduler_jobs(groups, environment);
        let mut jobs = scheduler_jobs.iter();
        let slurm = jobs.find(|job| job.scheduler == scheduler::SLURM);
        let pod_of_environment = || environment?.pod.clone();
        Self {
            container: scheduler::container(groups),
            slurm_job: slurm.map(|job| job.id.clone()),
            pod: scheduler::pod(groups).or_else(pod_of_environment),
            scheduler_jobs,
        }
    }
}

impl PlacedProcess {
    /// How far a node is from its local nodes; `None` where these are unknown, and for a node that does not exist.
    pub(crate) fn locality(&self, node: NodeId) -> Option<Locality> {
        self.locality.get(&node).copied()
    }

    /// How far the memory of a node is from its local memory nodes; `None` where these are unknown, and for a node that does
    /// not exist.
    pub(crate) fn memory_locality(&self, node: NodeId) -> Option<Locality> {
        self.memory_locality.get(&node).copied()
    }

    /// Its CPU time by node; `None` where it used none, and without --for.
    pub(crate) fn cpu_time(&self) -> Option<&CpuTime> {
        cpu::cpu_time(self.watched.as_ref())
    }

    /// Its CPUs are at risk at best, for a reason that is not their place alone.
    pub(crate) fn put_cpus_at_risk(&mut self) {
        self.cpu.verdict = self.cpu.verdict.map(at_best_at_risk);
        self.verdict = self.cpu.verdict.max(self.memory.verdict);
    }

    /// Whether it has a verdict: launchers and helpers may run anywhere.
    pub(crate) fn is_judged(&self) -> bool {
        self.verdict.is_some()
    }
}

/// What a process is judged by.
pub(crate) struct Yardstick<'a> {
    pub(crate) gpus: &'a [GpuPlace],
    pub(crate) topology: &'a Topology,
    pub(crate) settings: &'a Settings,
}

impl PlacedProcess {
    /// Judges a process.
    pub(crate) fn new(
        process: Process,
        watched: Option<ProcessActivity>,
        membership: Membership,
        by: &Yardstick,
    ) -> Self {
        // The PID may have been reused since.
        let watched = watched.filter(|of| of.start_time_ticks == process.start_time_ticks);
        let gpus = by.gpus.iter();
        let own = gpus.filter(|gpu| membership.gpus.contains(&gpu.gpu.index));
        let own: Vec<&GpuPlace> = own.collect();
        let home_nodes: NodeSet = own
            .iter()
            .flat_map(|gpu| &gpu.home_nodes)
            .copied()
            .collect();
        let (local_nodes, local_memory_nodes) = if membership.role.is_some() {
            let memory = union(&own, |gpu| &gpu.local_memory_nodes);
            (union(&own, |gpu| &gpu.local_nodes), memory)
        } else {
            let own_node = cpu::own_node(&process, watched.as_ref(), by.topology);
            let memory = home::local_memory_nodes(&own_node, by.topology, &by.gpu_memory());
            (own_node, memory)
        };
        let gpu_memory = own.iter().filter_map(|gpu| gpu.gpu.own_memory_node);
        let gpu_memory = gpu_memory.collect();
        let local = LocalNodes {
            nodes: &local_nodes,
            has_gpu: membership.role.is_some(),
            memory_nodes: &local_memory_nodes,
            gpu_memory: &gpu_memory,
            topology: by.topology,
            strict_node: by.settings.strict_node,
        };
        let holds_context = membership.role == Some(Role::Trainer);
        let mut cpu = cpu::place(&process, watched.as_ref(), &local);
        let mut memory = memory::place(&process, holds_context, &local, &by.settings.limits);
        if !membership.is_judged() {
            (cpu.verdict, memory.verdict) = (None, None);
        }
        let fed_from_elsewhere = holds_context
            .then(|| FedFromElsewhere::of(&own, &cpu, &memory, &by.settings.limits))
            .flatten();
        if let Some(fed) = &fed_from_elsewhere {
            limit_verdicts(fed, &mut cpu, &mut memory);
        }
        let names = JobNames::of(&process);
        Self {
            names,
            locality: by.of_all_nodes(!local_nodes.is_empty(), |node| local.locality(node)),
            memory_locality: by
                .of_all_nodes(local.is_memory_known(), |node| local.memory_locality(node)),
            // It depends on all processes.
            target: None,
            verdict: cpu.verdict.max(memory.verdict),
            process,
            watched,
            membership,
            home_nodes,
            local_nodes,
            local_memory_nodes,
            cpu,
            memory,
            fed_from_elsewhere,
        }
    }
}

/// A process with GPUs on several nodes is at risk at best by what feeds some of them from elsewhere.
fn limit_verdicts(fed: &FedFromElsewhere, cpu: &mut CpuPlace, memory: &mut MemoryPlace) {
    if !fed.by_cpus.is_empty() {
        cpu.verdict = cpu.verdict.map(at_best_at_risk);
    }
    if !fed.by_pinned.is_empty() {
        memory.verdict = memory.verdict.map(at_best_at_risk);
    }
}

/// The nodes of all these GPUs; none where they are unknown for one of them.
fn union(gpus: &[&GpuPlace], nodes: fn(&GpuPlace) -> &NodeSet) -> NodeSet {
    if gpus.iter().any(|gpu| nodes(gpu).is_empty()) {
        return NodeSet::new();
    }
    gpus.iter().flat_map(|gpu| nodes(gpu)).copied().collect()
}

impl Yardstick<'_> {
    /// The nodes that are memory of a GPU.
    fn gpu_memory(&self) -> NodeSet {
        let gpus = self.gpus.iter();
        gpus.filter_map(|gpu| gpu.gpu.own_memory_node).collect()
    }

    fn of_all_nodes(
        &self,
        is_known: bool,
        locality: impl Fn(NodeId) -> Locality,
    ) -> BTreeMap<NodeId, Locality> {
        let nodes = self.topology.nodes().keys().filter(|_| is_known);
        nodes.map(|node| (*node, locality(*node))).collect()
    }
}
