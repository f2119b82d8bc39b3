//! A process in the document.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit::{PlacedProcess, Report};
use crate::machine::gpu::Instance;
use crate::machine::memory::Policy;
use crate::machine::window::Watched;
use crate::print::age::started;
use crate::print::json::{ids, seconds};
use crate::units::{NodeBytes, NodeSet};

#[derive(Serialize)]
pub(crate) struct ProcessJson<'a> {
    pid: u32,
    ppid: u32,
    /// Its numbers in the PID namespaces within ours, outermost first.
    inner_pids: &'a [u32],
    start_time_ticks: u64,
    /// RFC 3339, UTC; `None` where it is not known when the machine was started.
    started_at: Option<String>,
    name: &'a str,
    command: Option<String>,
    user: Option<String>,
    role: Option<String>,
    gpus: &'a [u32],
    /// The MIG instances among these.
    mig_instances: Vec<InstanceJson>,
    gpu_source: Option<String>,
    trainer_pid: Option<u32>,
    attribution: Option<String>,
    local_rank: Option<u32>,
    rank: Option<u32>,
    container: Option<&'a str>,
    job: Option<&'a str>,
    pod: Option<&'a str>,
    /// Whose program it is by its name, and what it does there: `vLLM`, `worker`.
    framework: Option<&'static str>,
    task: Option<&'static str>,
    home_nodes: Vec<u32>,
    local_nodes: Vec<u32>,
    cpu: CpuJson,
    memory: MemoryJson,
    verdict: Option<String>,
    findings: &'a [&'static str],
}

pub(crate) fn process<'a>(audited: &'a PlacedProcess, report: &Report) -> ProcessJson<'a> {
    let process = &audited.process;
    let users = &report.users;
    let part = &audited.membership;
    let environment = process.environment.as_ref();
    ProcessJson {
        pid: process.pid.0,
        ppid: process.ppid.0,
        inner_pids: &process.inner_pids,
        start_time_ticks: process.start_time_ticks,
        started_at: started(process, &report.host)
            .map(|when| humantime::format_rfc3339_seconds(when).to_string()),
        name: &process.name,
        command: process.command.as_ref().map(|words| words.join(" ")),
        user: process
            .uid
            .map(|uid| users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())),
        role: part.role.map(|role| role.to_string()),
        gpus: &part.gpus,
        mig_instances: part.instances.iter().map(instance).collect(),
        gpu_source: part.gpu_source.map(|source| source.to_string()),
        trainer_pid: part.trainer.map(|pid| pid.0),
        attribution: part.attribution.map(|how| how.to_string()),
        local_rank: environment.and_then(|environment| environment.local_rank),
        rank: environment.and_then(|environment| environment.rank),
        container: audited.container.as_deref(),
        job: audited.job.as_deref(),
        pod: audited.pod.as_deref(),
        framework: part.task.map(|task| task.framework),
        task: part.task.map(|task| task.name),
        home_nodes: ids(&audited.home_nodes),
        local_nodes: ids(&audited.local_nodes),
        cpu: cpu(audited),
        memory: memory(audited),
        verdict: audited.verdict.map(|verdict| verdict.to_string()),
        findings: &audited.findings,
    }
}

#[derive(Serialize)]
struct InstanceJson {
    gpu: u32,
    gpu_instance_id: u32,
    compute_instance_id: Option<u32>,
}

fn instance((gpu, instance): &(u32, Instance)) -> InstanceJson {
    InstanceJson {
        gpu: *gpu,
        gpu_instance_id: instance.gpu,
        compute_instance_id: instance.compute,
    }
}

#[derive(Serialize)]
struct CpuJson {
    node: Option<u32>,
    affinity: Option<String>,
    affinity_nodes: Vec<u32>,
    /// What its control group leaves it; `None` where that is not known.
    cpuset: Option<String>,
    cpuset_nodes: Option<Vec<u32>>,
    bound: Option<bool>,
    verdict: Option<String>,
    /// `None` where the threads could not be listed.
    threads: Option<ThreadsJson>,
    /// Only where it was watched for longer than a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<CpuWindowJson>,
}

#[derive(Serialize)]
struct CpuWindowJson {
    cpu_seconds_by_node: BTreeMap<u32, f64>,
    migrations: u64,
    threads_moved: usize,
}

fn cpu_window(watched: &Watched) -> CpuWindowJson {
    let times = watched.cpu_time.iter();
    CpuWindowJson {
        cpu_seconds_by_node: times.map(|(node, time)| (node.0, seconds(time))).collect(),
        migrations: watched.migrations,
        threads_moved: watched.threads_moved,
    }
}

#[derive(Serialize)]
struct ThreadsJson {
    total: usize,
    by_node: BTreeMap<u32, usize>,
    astray: Option<usize>,
    /// Those that may leave the local nodes, by name, the numbers at the names' ends left out.
    loose: Option<usize>,
    loose_names: Option<BTreeMap<String, usize>>,
}

fn cpu(audited: &PlacedProcess) -> CpuJson {
    let cpu = &audited.cpu;
    let cpuset = audited.process.cpuset.as_ref();
    CpuJson {
        node: cpu.node.map(|node| node.0),
        affinity: cpu.affinity.as_ref().map(ToString::to_string),
        affinity_nodes: ids(&cpu.affinity_nodes),
        cpuset: cpuset.map(|cpuset| cpuset.cpus.to_string()),
        cpuset_nodes: cpu.cpuset_nodes.as_ref().map(ids),
        bound: cpu.bound(),
        verdict: cpu.verdict.map(|verdict| verdict.to_string()),
        threads: cpu.threads.as_ref().map(|threads| ThreadsJson {
            total: threads.total,
            by_node: threads
                .by_node
                .iter()
                .map(|(node, count)| (node.0, *count))
                .collect(),
            astray: threads.astray,
            loose: threads.unbound.as_ref().map(|loose| loose.count),
            loose_names: threads.unbound.as_ref().map(|loose| loose.names.clone()),
        }),
        window: audited.watched.as_ref().map(cpu_window),
    }
}

#[derive(Serialize)]
struct MemoryJson {
    node: Option<u32>,
    policy: Option<String>,
    policy_flags: Option<Vec<String>>,
    /// `None` where the kernel cut the list.
    policy_nodes: Option<Vec<u32>>,
    mems_allowed: Option<Vec<u32>>,
    /// The policies of its threads, and how many have each; `None` where nobody asked.
    thread_policies: Option<BTreeMap<String, usize>>,
    exact: Option<bool>,
    /// How many pages an estimate rests on, and by how much `local_fraction` may be off, in 95 cases of 100.
    sample_pages: Option<u64>,
    error: Option<f64>,
    verdict: Option<String>,
    by_node_bytes: Option<BTreeMap<u32, u64>>,
    by_kind: Option<BTreeMap<String, BTreeMap<u32, u64>>>,
    local_fraction: Option<f64>,
    /// Pages that NUMA balancing moved while it was watched; only where it was, and the kernel tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages_migrated: Option<u64>,
    /// Anonymous and shared memory of its whole control group, where its own could not be read.
    group_by_node_bytes: Option<BTreeMap<u32, u64>>,
}

fn memory(audited: &PlacedProcess) -> MemoryJson {
    let memory = &audited.memory;
    let pages = memory.pages.as_ref();
    let policy = pages.map(|pages| &pages.policy);
    let estimate = pages.and_then(|pages| pages.estimate);
    let whole = policy.filter(|policy| !policy.truncated);
    let kinds = |pages: &crate::audit::place::memory::PagePlace| {
        let kinds = pages.by_kind.iter();
        kinds
            .map(|(kind, by_node)| (kind.to_string(), by_id(by_node)))
            .collect()
    };
    MemoryJson {
        node: pages.and_then(|pages| pages.node).map(|node| node.0),
        policy: policy.map(|policy| policy.mode.to_string()),
        policy_flags: policy.map(|policy| policy.flags.clone()),
        policy_nodes: whole.map(|policy| ids(&policy.nodes)),
        mems_allowed: memory
            .mems_allowed
            .as_ref()
            .map(|nodes: &NodeSet| ids(nodes)),
        thread_policies: pages
            .filter(|pages| !pages.thread_policies.is_empty())
            .map(|pages| texts(&pages.thread_policies)),
        exact: pages.map(|pages| pages.estimate.is_none()),
        sample_pages: estimate.map(|estimate| estimate.asked),
        error: estimate.and_then(|estimate| estimate.error),
        verdict: memory.verdict.map(|verdict| verdict.to_string()),
        by_node_bytes: pages.map(|pages| by_id(&pages.by_node)),
        by_kind: pages.map(kinds),
        local_fraction: pages.and_then(|pages| pages.share?.local_fraction()),
        pages_migrated: audited.watched.as_ref().and_then(|of| of.pages_migrated),
        group_by_node_bytes: audited.process.group_memory.as_ref().map(by_id),
    }
}

fn texts(policies: &BTreeMap<Policy, usize>) -> BTreeMap<String, usize> {
    let policies = policies.iter();
    policies
        .map(|(policy, threads)| (policy.to_string(), *threads))
        .collect()
}

fn by_id(by_node: &NodeBytes) -> BTreeMap<u32, u64> {
    by_node
        .iter()
        .map(|(node, bytes)| (node.0, bytes.0))
        .collect()
}
