//! The JSON document, schema_version 1. Fields may be added; none is ever removed or changed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::age::started;
use crate::audit::finding;
use crate::audit::home::GpuPlace;
use crate::audit::rules::{RULES, Rule};
use crate::audit::{Audited, Report};
use crate::model::driver::MigDevice;
use crate::model::gpu::Instance;
use crate::model::memory::{Bytes, NodeBytes, Policy};
use crate::model::pci::PciDevice;
use crate::model::settings::Settings;
use crate::model::topology::{Node, NodeId, NodeSet};
use crate::model::window::{Counters, Watched, Window};
use crate::model::{Host, Origin};

/// Of the documents; raised when a field changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// The whole report.
pub fn report(report: &Report) -> String {
    document(&Document {
        schema_version: SCHEMA_VERSION,
        tool: TOOL,
        host: host(&report.host),
        topology: topology(report),
        settings: settings(report.kernel),
        processes: Some(
            report
                .processes
                .iter()
                .map(|of| process(of, report))
                .collect(),
        ),
        findings: Some(report.findings.iter().map(finding).collect()),
        incomplete: incomplete(report),
        summary: Some(summary(report)),
        window: report.window.as_ref().map(window),
    })
}

/// The rules.
pub fn rules() -> String {
    let rules: Vec<RuleJson> = RULES.iter().map(rule).collect();
    document(&rules)
}

#[derive(Serialize)]
struct RuleJson {
    name: &'static str,
    severity: String,
    /// A paragraph each: what it finds, why it costs, what it cannot know, what to do.
    explanation: Vec<String>,
}

fn rule(rule: &Rule) -> RuleJson {
    RuleJson {
        name: rule.name,
        severity: rule.severity.to_string(),
        explanation: rule.explanation(),
    }
}

/// The machine alone: the same document without processes.
pub fn topology_only(report: &Report) -> String {
    document(&Document {
        schema_version: SCHEMA_VERSION,
        tool: TOOL,
        host: host(&report.host),
        topology: topology(report),
        settings: settings(report.kernel),
        processes: None,
        findings: Some(report.findings.iter().map(finding).collect()),
        incomplete: incomplete(report),
        summary: None,
        window: None,
    })
}

pub(super) fn document(document: &impl Serialize) -> String {
    // Maps have text for keys and numbers are finite: nothing in it can fail.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_default();
    text.push('\n');
    text
}

pub(super) const TOOL: Tool = Tool {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
};

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    tool: Tool,
    host: HostJson<'a>,
    topology: TopologyJson<'a>,
    settings: SettingsJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Vec<ProcessJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<FindingJson<'a>>>,
    incomplete: Vec<GapJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryJson>,
    /// Only where it was looked for longer than a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowJson<'a>>,
}

#[derive(Serialize)]
struct WindowJson<'a> {
    seconds: f64,
    /// How long it was to be: more, where it was interrupted.
    asked_seconds: f64,
    looks: usize,
    /// By node, with the names of its `numastat`, in pages.
    node_counters: BTreeMap<u32, &'a Counters>,
    /// Of NUMA balancing, with the names of `/proc/vmstat`.
    vmstat: &'a Counters,
}

fn window(window: &Window) -> WindowJson<'_> {
    let counters = window.node_counters.iter();
    WindowJson {
        seconds: seconds(window.length),
        asked_seconds: seconds(window.asked),
        looks: window.looks,
        node_counters: counters.map(|(node, of)| (node.0, of)).collect(),
        vmstat: &window.vmstat,
    }
}

/// In microseconds, that no more digits are there than mean something.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

#[derive(Serialize)]
pub(super) struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
pub(super) struct HostJson<'a> {
    hostname: Option<&'a str>,
    kernel: Option<&'a str>,
    recorded_at: Option<&'a str>,
    source: &'static str,
    driver_version: Option<&'a str>,
}

pub(super) fn host(host: &Host) -> HostJson<'_> {
    HostJson {
        hostname: host.hostname.as_deref(),
        kernel: host.kernel.as_deref(),
        recorded_at: host.recorded_at.as_deref(),
        source: match host.origin {
            Origin::Live => "live",
            Origin::Snapshot => "snapshot",
        },
        driver_version: host.driver_version.as_deref(),
    }
}

#[derive(Serialize)]
struct TopologyJson<'a> {
    nodes: Vec<NodeJson>,
    gpus: Vec<GpuJson<'a>>,
    devices: Vec<DeviceJson>,
}

fn topology(report: &Report) -> TopologyJson<'_> {
    TopologyJson {
        nodes: report.topology.nodes().iter().map(node).collect(),
        gpus: report.gpus.iter().map(gpu).collect(),
        devices: report.devices.iter().map(device).collect(),
    }
}

/// The kernel's settings; `None` for what could not be read.
#[derive(Serialize)]
struct SettingsJson {
    numa_balancing: Option<u32>,
    zone_reclaim_mode: Option<u32>,
}

fn settings(kernel: Settings) -> SettingsJson {
    SettingsJson {
        numa_balancing: kernel.numa_balancing,
        zone_reclaim_mode: kernel.zone_reclaim_mode,
    }
}

#[derive(Serialize)]
struct NodeJson {
    id: u32,
    /// `None` where they could not be read.
    cpus: Option<String>,
    memory_total_bytes: Option<u64>,
    memory_free_bytes: Option<u64>,
    /// `None` where the tree does not tell them.
    distances: Option<BTreeMap<u32, u32>>,
}

fn node((id, node): (&NodeId, &Node)) -> NodeJson {
    let distances = node
        .distances
        .iter()
        .map(|(to, distance)| (to.0, *distance));
    NodeJson {
        id: id.0,
        cpus: node.cpus.as_ref().map(ToString::to_string),
        memory_total_bytes: bytes(node.memory_total),
        memory_free_bytes: bytes(node.memory_free),
        distances: (!node.distances.is_empty()).then(|| distances.collect()),
    }
}

fn bytes(size: Option<Bytes>) -> Option<u64> {
    size.map(|size| size.0)
}

pub(super) fn ids<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<u32> {
    nodes.into_iter().map(|node| node.0).collect()
}

#[derive(Serialize)]
struct GpuJson<'a> {
    index: u32,
    uuid: Option<&'a str>,
    name: Option<&'a str>,
    pci_bus_id: Option<String>,
    home_nodes: Vec<u32>,
    home_source: String,
    /// All that the sources say, by source.
    home_answers: BTreeMap<String, Vec<u32>>,
    local_nodes: Vec<u32>,
    own_memory_nodes: Vec<u32>,
    memory_total_bytes: Option<u64>,
    memory_used_bytes: Option<u64>,
    mig_devices: &'a [MigDevice],
}

fn gpu(place: &GpuPlace) -> GpuJson<'_> {
    let gpu = &place.gpu;
    GpuJson {
        index: gpu.index,
        uuid: gpu.uuid.as_deref(),
        name: gpu.name.as_deref(),
        pci_bus_id: gpu.address.map(|address| address.to_string()),
        home_nodes: ids(&place.home_nodes),
        home_source: place.source.to_string(),
        home_answers: place
            .answers
            .iter()
            .map(|(source, nodes)| (source.to_string(), ids(nodes)))
            .collect(),
        local_nodes: ids(&place.local_nodes),
        own_memory_nodes: ids(&gpu.own_memory_node),
        memory_total_bytes: bytes(gpu.memory_total),
        memory_used_bytes: bytes(gpu.memory_used),
        mig_devices: &gpu.mig_devices,
    }
}

#[derive(Serialize)]
struct DeviceJson {
    pci_bus_id: String,
    class: String,
    /// The kernel's names for it, joined by commas; `null` for none.
    name: Option<String>,
    node: Option<u32>,
}

fn device(device: &PciDevice) -> DeviceJson {
    DeviceJson {
        pci_bus_id: device.address.to_string(),
        class: device.class.to_string(),
        name: (!device.names.is_empty()).then(|| device.names.join(",")),
        node: device.node.map(|node| node.0),
    }
}

#[derive(Serialize)]
struct ProcessJson<'a> {
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

fn process<'a>(audited: &'a Audited, report: &Report) -> ProcessJson<'a> {
    let process = &audited.process;
    let users = &report.users;
    let part = &audited.part;
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

fn cpu(audited: &Audited) -> CpuJson {
    let cpu = &audited.cpu;
    let cpuset = audited.process.cpuset.as_ref();
    CpuJson {
        node: cpu.node.map(|node| node.0),
        affinity: cpu.affinity.as_ref().map(ToString::to_string),
        affinity_nodes: ids(&cpu.affinity_nodes),
        cpuset: cpuset.map(|cpuset| cpuset.cpus.to_string()),
        cpuset_nodes: cpu.cpuset_nodes.as_ref().map(ids),
        bound: cpu.bound,
        verdict: cpu.verdict.map(|verdict| verdict.to_string()),
        threads: cpu.threads.as_ref().map(|threads| ThreadsJson {
            total: threads.total,
            by_node: threads
                .by_node
                .iter()
                .map(|(node, count)| (node.0, *count))
                .collect(),
            astray: threads.astray,
            loose: threads.loose.as_ref().map(|loose| loose.count),
            loose_names: threads.loose.as_ref().map(|loose| loose.names.clone()),
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

fn memory(audited: &Audited) -> MemoryJson {
    let memory = &audited.memory;
    let pages = memory.pages.as_ref();
    let policy = pages.map(|pages| &pages.policy);
    let estimate = pages.and_then(|pages| pages.estimate);
    let whole = policy.filter(|policy| !policy.truncated);
    let kinds = |pages: &crate::audit::memory::PagePlace| {
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

#[derive(Serialize)]
struct FindingJson<'a> {
    rule: &'static str,
    severity: String,
    /// The first of its GPUs.
    gpu: Option<u32>,
    gpus: &'a [u32],
    pids: Vec<u32>,
    message: &'a str,
    evidence: BTreeMap<&'static str, Value>,
    remedy: String,
    /// Lines to paste into a shell.
    commands: &'a [String],
}

fn finding(finding: &finding::Finding) -> FindingJson<'_> {
    FindingJson {
        rule: finding.rule,
        severity: finding.severity.to_string(),
        gpu: finding.gpus.first().copied(),
        gpus: &finding.gpus,
        pids: finding.pids.iter().map(|pid| pid.0).collect(),
        message: &finding.message,
        evidence: finding
            .evidence
            .iter()
            .map(|(name, of)| (*name, fact(of)))
            .collect(),
        remedy: finding.remedy.to_string(),
        commands: &finding.remedy.commands,
    }
}

fn fact(fact: &finding::Value) -> Value {
    use finding::Value::{Bytes, Count, Cpus, Nodes, Pids, Share, Text};
    match fact {
        Nodes(nodes) => ids(nodes).into(),
        Cpus(cpus) => cpus.to_string().into(),
        Pids(pids) => pids.iter().map(|pid| pid.0).collect(),
        Bytes(bytes) => bytes.0.into(),
        Count(count) => (*count).into(),
        Share(share) => (*share).into(),
        Text(text) => text.as_str().into(),
    }
}

#[derive(Serialize)]
struct GapJson {
    pid: Option<u32>,
    what: String,
    reason: String,
}

fn incomplete(report: &Report) -> Vec<GapJson> {
    let gaps = report.gaps.iter().map(|gap| GapJson {
        pid: gap.pid.map(|pid| pid.0),
        what: gap.fact.to_string(),
        reason: gap.reason.to_string(),
    });
    gaps.collect()
}

#[derive(Serialize)]
struct SummaryJson {
    verdict: String,
    processes: usize,
    ok: usize,
    at_risk: usize,
    mismatch: usize,
    unknown: usize,
    /// Whether all could be seen and judged.
    complete: bool,
    local_fraction: Option<f64>,
    /// Whether every page was counted, and how far that may be off where not.
    exact: bool,
    error: Option<f64>,
}

fn summary(report: &Report) -> SummaryJson {
    let summary = &report.summary;
    SummaryJson {
        verdict: summary.verdict.to_string(),
        processes: summary.processes,
        ok: summary.ok,
        at_risk: summary.at_risk,
        mismatch: summary.mismatch,
        unknown: summary.unknown,
        complete: summary.is_complete,
        local_fraction: summary.local_fraction,
        exact: summary.is_exact,
        error: summary.local_error,
    }
}
