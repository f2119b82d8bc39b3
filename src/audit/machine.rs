//! A whole machine: places all processes, applies the rules, and makes the document.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::entries::process::EntryContext;
use crate::audit::hint::Circumstances;
use crate::audit::place::{GpuPlace, Hints, crowded_masks, devices, home};
use crate::audit::placed::{PlacedProcess, Yardstick};
use crate::audit::rules::{PlacedMachine, RuleContext};
use crate::audit::summary::summarise;
use crate::audit::target::compute::set_targets;
use crate::audit::{Form, Limits, Scope, Settings, entries, rules};
use crate::document::{Document, Finding, GpuEntry, SCHEMA_VERSION, Tool, UnseenProcess};
use crate::jobs::attribution;
use crate::jobs::{Membership, ProcessTree};
use crate::machine::{
    CpuFacts, DeviceUser, Fact, Gap, Gpu, Host, KernelSettings, Machine, PciDevice, Process,
    Reason, Topology, Window,
};
use crate::units::Pid;
use crate::words::Role;

/// A machine of which the place of each part is known, before the rules are applied.
pub(crate) struct AuditedMachine {
    host: Host,
    topology: Topology,
    gpus: Vec<GpuPlace>,
    devices: Vec<PciDevice>,
    device_users: Vec<DeviceUser>,
    processes: Vec<PlacedProcess>,
    window: Option<Window>,
    users: BTreeMap<u32, String>,
    pods: BTreeMap<String, String>,
    cpus: CpuFacts,
    kernel: KernelSettings,
    pub(crate) gaps: Vec<Gap>,
    /// The GPUs that were asked for, by index.
    pub(crate) asked: BTreeSet<u32>,
    /// Whether processes were named with --pid.
    has_named: bool,
    /// Whether GPUs exist that no source lists.
    has_unlisted_gpus: bool,
    /// Whether only processes of one user or of one job are in scope.
    is_of_some: bool,
}

impl AuditedMachine {
    pub(crate) fn new(mut machine: Machine, settings: &Settings) -> Self {
        let Settings { scope, hints, .. } = settings;
        let mut gaps = std::mem::take(&mut machine.gaps);
        let mut watched = BTreeMap::new();
        if let Some(window) = &mut machine.window {
            watched = std::mem::take(&mut window.processes);
            gaps.append(&mut window.gaps);
        }
        let gpus: Vec<GpuPlace> = home::place(machine.gpus, &machine.topology, hints);
        gaps.extend(gpus.iter().flat_map(home::gaps));
        gaps.extend(unknown_gpus(scope, hints));
        gaps.extend(devices::gaps(&machine.devices, &machine.device_users));
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
        let yardstick = Yardstick {
            gpus: &gpus,
            topology: &machine.topology,
            settings,
        };
        let place = |process: Process| {
            let membership = memberships.remove(&process.pid).unwrap_or_default();
            let watched = watched.remove(&process.pid);
            PlacedProcess::new(process, watched, membership, &yardstick)
        };
        let mut processes: Vec<PlacedProcess> = processes.into_iter().map(place).collect();
        judge_together(&mut processes, &gpus, &machine.cpus, &machine.topology);
        let near_limit = processes
            .iter()
            .filter(|of| of.memory.is_near_limit(&settings.limits));
        gaps.extend(near_limit.map(|of| open_limit(of.process.pid)));
        let has_unlisted_gpus = gaps.iter().any(|gap| gap.fact == Fact::UnlistedGpu);
        gaps.retain(|gap| scope.concerns(gap, &shown, &asked, &observed, &named));
        Self {
            host: machine.host,
            topology: machine.topology,
            gpus,
            devices: machine.devices,
            device_users: machine.device_users,
            processes,
            window: machine.window,
            users: machine.users,
            pods: machine.pods,
            cpus: machine.cpus,
            kernel: machine.kernel,
            gaps,
            asked,
            has_named: !named.is_empty(),
            has_unlisted_gpus,
            is_of_some: scope.is_of_some(),
        }
    }

    /// Whether only some of the machine's processes were asked for.
    pub(crate) fn is_partial(&self, settings: &Settings) -> bool {
        settings.scope.gpus.is_some() || self.is_of_some || self.has_named
    }

    /// The findings of all rules, and the number of the job of each trainer.
    pub(crate) fn check(&self, limits: Limits) -> (Vec<Finding>, BTreeMap<Pid, u32>) {
        let machine = PlacedMachine {
            processes: &self.processes,
            gpus: &self.gpus,
            topology: &self.topology,
            cpus: &self.cpus,
            devices: &self.devices,
            has_unlisted_gpus: self.has_unlisted_gpus,
            kernel: self.kernel,
            window: self.window.as_ref(),
        };
        let context = RuleContext::new(machine, limits);
        let mut jobs = context.jobs().to_vec();
        jobs.sort_by_key(|job| job.pids().first().copied());
        let jobs = (0..).zip(jobs);
        let groups = jobs.flat_map(|(number, job)| {
            let trainers = job.pids().into_iter();
            trainers.map(move |trainer| (trainer, number))
        });
        (rules::check(&context), groups.collect())
    }

    pub(crate) fn into_document(
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
        let around = EntryContext {
            boot: self.host.started,
            users: &self.users,
            pods: &self.pods,
            broken: &broken(&findings),
            job_groups,
        };
        let processes = self.processes.into_iter();
        let processes = processes.map(|placed| entries::process::process(placed, &around));
        let window = self.window.as_ref().filter(|_| is_audit);
        Document {
            schema_version: SCHEMA_VERSION,
            tool: Tool::this(),
            host: entries::machine::host(self.host, form),
            topology: entries::machine::topology(
                &self.topology,
                gpus,
                self.devices,
                self.device_users,
                self.cpus.cores.unwrap_or_default(),
                self.cpus.isolated.filter(|_| !is_audit),
            ),
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
        let entry = entries::machine::gpu(place, &self.topology);
        if form == Form::Map {
            return entry;
        }
        // A list of GPUs without processes answers no question about named processes or about those of one user or job.
        let is_about_gpus = !self.is_of_some && !self.has_named;
        GpuEntry {
            in_scope: Some(is_about_gpus && self.asked.contains(&entry.index)),
            processes_known: Some(self.are_users_known(place)),
            unseen_processes: self.unseen(&place.gpu),
            ..entry
        }
    }

    /// The processes that the driver lists on a GPU and that could not be looked at, by PID.
    fn unseen(&self, gpu: &Gpu) -> Vec<UnseenProcess> {
        let mut reasons: BTreeMap<Pid, String> = BTreeMap::new();
        for gap in self.gaps.iter().filter(|gap| gap.fact == Fact::Process) {
            reasons.extend(gap.pid.map(|pid| (pid, entries::why_unseen(&gap.reason))));
        }
        let foreign = gpu.foreign.iter();
        reasons.extend(foreign.map(|context| (context.pid, entries::FOREIGN.to_owned())));
        let listed = gpu.contexts.iter().flatten().chain(&gpu.foreign);
        let mut unseen: BTreeMap<Pid, UnseenProcess> = BTreeMap::new();
        for context in listed {
            let Some(reason) = reasons.get(&context.pid) else {
                continue;
            };
            let entry = unseen.entry(context.pid).or_insert(UnseenProcess {
                pid: context.pid,
                memory_bytes: None,
                reason: reason.clone(),
            });
            // It may have several contexts, in several MIG instances.
            let sizes = [entry.memory_bytes, context.memory];
            let is_known = sizes.iter().any(Option::is_some);
            entry.memory_bytes = is_known.then(|| sizes.into_iter().flatten().sum());
        }
        unseen.into_values().collect()
    }

    /// NVIDIA's driver reports nothing about other GPUs.
    fn are_users_known(&self, place: &GpuPlace) -> bool {
        let is_by_driver = place.gpu.drm.is_none();
        if !self.unseen(&place.gpu).is_empty() {
            return false;
        }
        let mut facts = self.gaps.iter().map(|gap| &gap.fact);
        !facts.any(|fact| match fact {
            Fact::Driver => is_by_driver,
            Fact::GpuProcesses(gpu) => *gpu == place.gpu.index,
            _ => false,
        })
    }
}

/// What depends on all processes: their targets, and the verdict of those that share too few CPUs.
fn judge_together(
    processes: &mut [PlacedProcess],
    gpus: &[GpuPlace],
    cpus: &CpuFacts,
    topology: &Topology,
) {
    let gpu_memory = gpus.iter().filter_map(|gpu| gpu.gpu.own_memory_node);
    let isolated = cpus.isolated.clone().unwrap_or_default();
    set_targets(processes, topology, &gpu_memory.collect(), &isolated);
    for mask in crowded_masks(processes, topology) {
        for index in mask.members {
            processes[index].put_cpus_at_risk();
        }
    }
}

/// The GPUs that were typed and are not among those that are known, which may not be all.
fn unknown_gpus(scope: &Scope, hints: &Hints) -> impl Iterator<Item = Gap> {
    let names = scope.unknown_gpus.iter().chain(&hints.unknown_gpus);
    let names: BTreeSet<String> = names.cloned().collect();
    names.into_iter().map(|name| Gap {
        pid: None,
        fact: Fact::TypedGpu(name),
        reason: Reason::Failed(
            "it is unknown whether it exists: the NVIDIA driver did not answer for all GPUs".into(),
        ),
    })
}

/// Why the trainer of a worker is unknown.
fn doubt((pid, membership): (&Pid, &Membership)) -> Option<Gap> {
    let is_worker = membership.role == Some(Role::Worker);
    Some(Gap {
        pid: Some(*pid),
        fact: if is_worker {
            Fact::Trainer
        } else {
            Fact::GpuOfRank
        },
        reason: Reason::Failed(membership.doubt.clone()?),
    })
}

/// The memory of this process is estimated, and the limit lies within the error.
fn open_limit(pid: Pid) -> Gap {
    Gap {
        pid: Some(pid),
        fact: Fact::MemoryLimit,
        reason: Reason::Failed(
            "memory is estimated, and the limit is within the error of the estimate: use --memory exact"
                .into(),
        ),
    }
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
