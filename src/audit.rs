//! Judges a machine: who works for which GPU, where that GPU hangs, and whether CPUs and memory are
//! there too.
//!
//! [`audit`] is a function of its arguments: it knows no files, no terminal and no clock.

pub(crate) mod entries;
pub(crate) mod expectation;
pub mod finding;
pub(crate) mod hint;
pub mod place;
pub mod rules;
pub(crate) mod summary;

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::entries::process::Surroundings;
use crate::audit::hint::Circumstances;
use crate::audit::place::cpu;
use crate::audit::place::cpu::CpuPlace;
use crate::audit::place::home;
use crate::audit::place::home::{GpuPlace, Hints};
use crate::audit::place::memory;
use crate::audit::place::memory::MemoryPlace;
use crate::audit::place::verdict::{LocalNodes, Locality, Verdict};
use crate::audit::rules::context::{PlacedMachine, RuleContext};
use crate::audit::summary::summarise;
use crate::compare::expected;
use crate::document::{Document, Expected, Finding, GpuEntry, SCHEMA_VERSION, Tool};
use crate::jobs::attribution::{Membership, Role};
pub use crate::jobs::scope::Scope;
use crate::jobs::tree::ProcessTree;
use crate::jobs::{attribution, scheduler, scope};
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::Gpu;
use crate::machine::kernel_settings::Settings as KernelSettings;
use crate::machine::pci::PciDevice;
use crate::machine::process::Process;
use crate::machine::topology::Topology;
use crate::machine::window::{CpuTime, Watched, Window};
use crate::machine::{Host, Machine};
use crate::units::{Bytes, NodeId, NodeSet, Pid};

/// How much memory off the local nodes is a mismatch: more than both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Percent of a process's working memory.
    pub remote_percent: u8,
    /// Bytes of it.
    pub remote_bytes: Bytes,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            remote_percent: 10,
            remote_bytes: Bytes(16 << 20),
        }
    }
}

/// What is asked for, and how it is judged.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How much memory off the local nodes is a mismatch.
    pub limits: Limits,
    /// Which processes.
    pub scope: Scope,
    /// What is known of GPUs' places besides what was observed.
    pub hints: Hints,
    /// Whether another node of the same socket is as bad as another socket.
    pub strict_node: bool,
    /// What the machine must equal; `None` for nothing in particular.
    pub expected: Option<Expected>,
    /// The rules, by name, that are not applied. Verdicts stay what they are.
    pub allowed: BTreeSet<&'static str>,
}

/// One process, judged.
#[derive(Debug, Clone)]
pub struct PlacedProcess {
    /// As it was observed.
    pub process: Process,
    /// What was seen of it over a while; `None` where nobody looked for longer than a moment.
    pub watched: Option<Watched>,
    /// What it does in the job.
    pub membership: Membership,
    /// The home nodes of its GPUs.
    pub home_nodes: NodeSet,
    /// Where it should run. Empty where that is not known, and for a launcher.
    pub local_nodes: NodeSet,
    /// Where its threads are.
    pub cpu: CpuPlace,
    /// How far each node of the machine is from its GPUs; empty where that is not known.
    pub locality: BTreeMap<NodeId, Locality>,
    /// Where its memory is.
    pub memory: MemoryPlace,
    /// The worse of the two. `None` for launchers and helpers, which are not judged.
    pub verdict: Option<Verdict>,
    /// The container that it runs in, from its control group.
    pub container: Option<String>,
    /// Its Slurm job, from its control group.
    pub job: Option<String>,
    /// The UID of its Kubernetes pod, from its control group.
    pub pod: Option<String>,
}

impl PlacedProcess {
    /// How far a node is from its GPUs; `None` for a node that the machine does not have, and where its place is not
    /// known.
    pub fn locality(&self, node: NodeId) -> Option<Locality> {
        self.locality.get(&node).copied()
    }

    /// Where it spent CPU time over a while; `None` where it used none, and where nobody looked for longer than a moment.
    pub fn cpu_time(&self) -> Option<&CpuTime> {
        cpu::cpu_time(self.watched.as_ref())
    }

    /// Whether it gets a verdict: launchers and helpers may be anywhere.
    pub fn is_judged(&self) -> bool {
        self.verdict.is_some()
    }
}

/// Audits what was observed.
pub fn audit(machine: Machine, settings: &Settings) -> Document {
    document(machine, settings, Form::Audit)
}

/// The map of a machine: the document without processes, with the findings that are about the machine.
pub fn map(machine: Machine, settings: &Settings) -> Document {
    document(machine, settings, Form::Map)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Audit,
    Map,
}

fn document(machine: Machine, settings: &Settings, form: Form) -> Document {
    let placed = AuditedMachine::new(machine, settings);
    let is_open = placed.gaps.iter().any(|gap| gap.fact.leaves_open());
    let is_partial = placed.is_partial(settings);
    let asked = placed.asked.clone();
    let is_wanted = |finding: &Finding| {
        let is_asked =
            finding.gpus.is_empty() || finding.gpus.iter().any(|gpu| asked.contains(gpu));
        !settings.allowed.contains(finding.rule.as_str()) && (!finding.pids.is_empty() || is_asked)
    };
    let (mut findings, job_groups) = placed.check(settings.limits);
    findings.retain(is_wanted);
    let mut document = placed.into_document(findings, &job_groups, form);
    if let Some(expected) = &settings.expected {
        let comparison = expected::compare(expected, &document, is_partial, is_open);
        expectation::add(comparison, &mut document, is_wanted);
    }
    document
}

/// A machine of which the place of each part is known, before the rules are applied.
struct AuditedMachine {
    host: Host,
    topology: Topology,
    gpus: Vec<GpuPlace>,
    devices: Vec<PciDevice>,
    processes: Vec<PlacedProcess>,
    window: Option<Window>,
    users: BTreeMap<u32, String>,
    kernel: KernelSettings,
    gaps: Vec<Gap>,
    /// The GPUs that were asked for, by index.
    asked: BTreeSet<u32>,
    /// Whether processes were named with --pid.
    has_named: bool,
    /// Whether only processes of one user are in scope.
    has_user: bool,
}

impl AuditedMachine {
    fn new(mut machine: Machine, settings: &Settings) -> Self {
        let Settings { scope, hints, .. } = settings;
        let mut gaps = std::mem::take(&mut machine.gaps);
        let mut watched = BTreeMap::new();
        if let Some(window) = &mut machine.window {
            watched = std::mem::take(&mut window.processes);
            gaps.append(&mut window.gaps);
        }
        let gpus: Vec<GpuPlace> = machine
            .gpus
            .into_iter()
            .map(|gpu| home::place(gpu, &machine.topology, hints))
            .collect();
        gaps.extend(gpus.iter().flat_map(home::gaps));
        let named = machine.named;
        let mut processes = machine.processes;
        let tree = ProcessTree::of(&processes);
        let observed: Vec<&Gpu> = gpus.iter().map(|place| &place.gpu).collect();
        let mut memberships =
            attribution::attribute(&tree, &processes, &machine.orphans, &named, &observed);
        gaps.extend(memberships.iter().filter_map(doubt));
        let shown = scope.processes(&tree, &processes, &memberships, &named);
        let asked = scope.gpus(&shown, &memberships, &observed, &named);
        processes.retain(|process| shown.contains(&process.pid));
        let place = |process: Process| {
            let membership = memberships.remove(&process.pid).unwrap_or_default();
            let watched = watched.remove(&process.pid);
            judge(
                process,
                watched,
                membership,
                &gpus,
                &machine.topology,
                settings,
            )
        };
        let processes: Vec<PlacedProcess> = processes.into_iter().map(place).collect();
        let near_limit = processes.iter();
        gaps.extend(near_limit.filter_map(|of| memory::near_limit(of, &settings.limits)));
        gaps.retain(|gap| scope::concerns(gap, &shown, &asked, &observed, &named));
        Self {
            host: machine.host,
            topology: machine.topology,
            gpus,
            devices: machine.devices,
            processes,
            window: machine.window,
            users: machine.users,
            kernel: machine.kernel,
            gaps,
            asked,
            has_named: !named.is_empty(),
            has_user: scope.uid.is_some(),
        }
    }

    /// Whether only some of the machine's processes were asked for.
    fn is_partial(&self, settings: &Settings) -> bool {
        settings.scope.gpus.is_some() || self.has_user || self.has_named
    }

    /// The findings of all rules, and the number of the job of each trainer.
    fn check(&self, limits: Limits) -> (Vec<Finding>, BTreeMap<Pid, u32>) {
        let machine = PlacedMachine {
            processes: &self.processes,
            gpus: &self.gpus,
            topology: &self.topology,
            kernel: self.kernel,
            window: self.window.as_ref(),
        };
        let context = RuleContext::new(machine, limits);
        let mut jobs = context.jobs();
        jobs.sort_by_key(|job| job.pids().first().copied());
        let jobs = (0..).zip(jobs);
        let groups = jobs.flat_map(|(number, job)| {
            let trainers = job.pids().into_iter();
            trainers.map(move |trainer| (trainer, number))
        });
        (rules::check(&context), groups.collect())
    }

    fn into_document(
        self,
        findings: Vec<Finding>,
        job_groups: &BTreeMap<Pid, u32>,
        form: Form,
    ) -> Document {
        let is_audit = form == Form::Audit;
        let circumstances = Circumstances {
            gpus: &self.gpus,
            origin: self.host.origin,
            processes: is_audit.then_some(self.processes.len()),
        };
        let gpus = self.gpus.iter().map(|place| self.gpu(place, form));
        let gpus = gpus.collect();
        let gaps = self.gaps.iter();
        let gaps = gaps.map(|gap| entries::gap(gap, &circumstances)).collect();
        let summary = is_audit.then(|| summarise(&self.processes, &self.gaps));
        let around = Surroundings {
            boot: self.host.started,
            users: &self.users,
            broken: &broken(&findings),
            job_groups,
        };
        let processes = self.processes.into_iter();
        let processes = processes.map(|placed| entries::process::process(placed, &around));
        let window = self.window.as_ref().filter(|_| is_audit);
        Document {
            schema_version: SCHEMA_VERSION,
            tool: Tool::this(),
            host: entries::machine::host(self.host),
            topology: entries::machine::topology(&self.topology, gpus, self.devices),
            settings: entries::settings(self.kernel),
            processes: is_audit.then(|| processes.collect()),
            findings,
            incomplete: gaps,
            summary,
            window: window.map(entries::window),
            expectation: None,
        }
    }

    fn gpu(&self, place: &GpuPlace, form: Form) -> GpuEntry {
        let entry = entries::machine::gpu(place);
        if form == Form::Map {
            return entry;
        }
        // A list of GPUs without processes answers no question about named processes or about those of one user.
        let is_about_gpus = !self.has_user && !self.has_named;
        GpuEntry {
            in_scope: Some(is_about_gpus && self.asked.contains(&entry.index)),
            processes_known: Some(self.are_users_known(place)),
            ..entry
        }
    }

    /// NVIDIA's driver reports nothing about other GPUs.
    fn are_users_known(&self, place: &GpuPlace) -> bool {
        let is_by_driver = place.gpu.drm.is_none();
        let mut facts = self.gaps.iter().map(|gap| &gap.fact);
        !facts.any(|fact| match fact {
            Fact::Driver => is_by_driver,
            Fact::GpuProcesses(gpu) => *gpu == place.gpu.index,
            _ => false,
        })
    }
}

/// Why the trainer of a worker is unknown.
fn doubt((pid, membership): (&Pid, &Membership)) -> Option<Gap> {
    Some(Gap {
        pid: Some(*pid),
        fact: Fact::Trainer,
        reason: Reason::Failed(membership.doubt.clone()?),
    })
}

/// The rules that each process breaks.
fn broken(findings: &[Finding]) -> BTreeMap<Pid, Vec<String>> {
    let mut broken: BTreeMap<Pid, Vec<String>> = BTreeMap::new();
    for finding in findings {
        for pid in &finding.pids {
            broken.entry(*pid).or_default().push(finding.rule.clone());
        }
    }
    broken
}

fn judge(
    process: Process,
    watched: Option<Watched>,
    membership: Membership,
    gpus: &[GpuPlace],
    topology: &Topology,
    settings: &Settings,
) -> PlacedProcess {
    // A number may be another process's by now.
    let watched = watched.filter(|of| of.start_time_ticks == process.start_time_ticks);
    let own = || {
        gpus.iter()
            .filter(|gpu| membership.gpus.contains(&gpu.gpu.index))
    };
    let home_nodes: NodeSet = own().flat_map(|gpu| &gpu.home_nodes).copied().collect();
    // One GPU of several whose place is not known leaves open where the process should be.
    let all_known = own().all(|gpu| !gpu.local_nodes.is_empty());
    let local_nodes: NodeSet = match membership.role {
        Some(_) if !all_known => NodeSet::new(),
        Some(_) => own().flat_map(|gpu| &gpu.local_nodes).copied().collect(),
        None => cpu::own_node(&process, watched.as_ref(), topology),
    };
    let own_memory: NodeSet = own().filter_map(|gpu| gpu.gpu.own_memory_node).collect();
    let pages_too = &own_memory | &home_nodes;
    let judged = LocalNodes {
        nodes: &local_nodes,
        has_gpu: membership.role.is_some(),
        memory_only: &pages_too,
        topology,
        strict_node: settings.strict_node,
    };
    let locality = match local_nodes.is_empty() {
        true => BTreeMap::new(),
        false => topology
            .nodes()
            .keys()
            .map(|node| (*node, judged.locality(*node)))
            .collect(),
    };
    let mut cpu = cpu::place(&process, watched.as_ref(), &judged);
    let mut memory = memory::place(
        &process,
        membership.role == Some(Role::Trainer),
        &judged,
        &settings.limits,
    );
    let verdict = match membership.role {
        _ if !membership.is_judged() => {
            (cpu.verdict, memory.verdict) = (None, None);
            None
        }
        _ => cpu.verdict.max(memory.verdict),
    };
    let groups = process.groups.as_deref().unwrap_or_default();
    PlacedProcess {
        container: scheduler::container(groups),
        job: scheduler::slurm_job(groups),
        pod: scheduler::pod(groups),
        locality,
        process,
        watched,
        membership,
        home_nodes,
        local_nodes,
        cpu,
        memory,
        verdict,
    }
}
