//! Judges a machine: who works for which GPU, where that GPU hangs, and whether CPUs and memory are
//! there too.
//!
//! [`audit`] is a function of its arguments: it knows no files, no terminal and no clock.

pub mod finding;
pub mod outline;
pub mod place;
pub mod rules;

use crate::audit::place::{cpu, home, memory};
use crate::compare::expected;
use crate::jobs::{attribution, scope, tenant};
use crate::machine::kernel_settings::Settings as KernelSettings;
use std::collections::{BTreeMap, BTreeSet};

use crate::audit::finding::Finding;
use crate::audit::place::cpu::CpuPlace;
use crate::audit::place::home::{GpuPlace, Hints};
use crate::audit::place::memory::MemoryPlace;
use crate::audit::place::verdict::{LocalNodes, Locality, Verdict};
use crate::audit::rules::context::{PlacedMachine, RuleContext};
use crate::document::outline::Expected;
use crate::jobs::attribution::{Membership, Role};
pub use crate::jobs::scope::Scope;
use crate::machine::gap::{Fact, Gap, Reason};
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

/// One machine, judged.
#[derive(Debug, Clone)]
pub struct Report {
    /// As it was observed.
    pub host: Host,
    /// As it was observed.
    pub topology: Topology,
    /// Every GPU with its home, by index.
    pub gpus: Vec<GpuPlace>,
    /// The GPUs in scope, by index.
    pub gpus_in_scope: BTreeSet<u32>,
    /// The other devices, by address.
    pub devices: Vec<PciDevice>,
    /// The processes in scope, by PID.
    pub processes: Vec<PlacedProcess>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// The while over which processes were watched, which have what was seen of them; `None` where nobody looked for
    /// longer than a moment.
    pub window: Option<Window>,
    /// Names of users by number, as far as they are known.
    pub users: BTreeMap<u32, String>,
    /// The kernel's settings, as they were observed.
    pub kernel: KernelSettings,
    /// What could not be learnt.
    pub gaps: Vec<Gap>,
    /// The sum.
    pub summary: Summary,
}

impl Report {
    /// Whether it is known who uses this GPU.
    pub fn users_are_known(&self, gpu: u32) -> bool {
        let mut places = self.gpus.iter();
        let by_driver = places.any(|place| place.gpu.index == gpu && place.gpu.drm.is_none());
        let mut gaps = self.gaps.iter().map(|gap| &gap.fact);
        !gaps.any(|fact| {
            (by_driver && matches!(fact, Fact::Driver)) || *fact == Fact::GpuProcesses(gpu)
        })
    }
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
    /// The rules that it breaks.
    pub findings: Vec<&'static str>,
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

/// How many processes are how well placed.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The worst of all. `unknown` too where processes may be hidden.
    pub verdict: Verdict,
    /// The judged ones.
    pub processes: usize,
    /// Of these: placed well, those of a single node among them.
    pub ok: usize,
    /// Placed well for now, or near.
    pub at_risk: usize,
    /// Placed wrong.
    pub mismatch: usize,
    /// Not to be judged.
    pub unknown: usize,
    /// Whether all that was asked for could be seen and judged.
    pub is_complete: bool,
    /// The share of their working memory that is local; `None` where there is none. Pages that several
    /// share count in each.
    pub local_fraction: Option<f64>,
    /// Whether every page of it was counted.
    pub is_exact: bool,
    /// How far `local_fraction` may be off at most, with 95 % of confidence in each process's part of it. `None` where it is
    /// exact or not known.
    pub local_error: Option<f64>,
}

/// Judges what was observed.
pub fn audit(machine: Machine, settings: &Settings) -> Report {
    let Settings { scope, hints, .. } = settings;
    let Machine {
        host,
        topology,
        gpus,
        devices,
        processes,
        named,
        orphans,
        users,
        kernel,
        mut window,
        mut gaps,
    } = machine;
    let mut watched = BTreeMap::new();
    if let Some(window) = &mut window {
        watched = std::mem::take(&mut window.processes);
        gaps.append(&mut window.gaps);
    }
    let gpus: Vec<GpuPlace> = gpus
        .into_iter()
        .map(|gpu| home::place(gpu, &topology, hints))
        .collect();
    gaps.extend(gpus.iter().flat_map(home::gaps));
    let memberships = attribution::attribute(&processes, &orphans, &gpus);
    gaps.extend(memberships.iter().filter_map(|(pid, membership)| {
        Some(Gap {
            pid: Some(*pid),
            fact: Fact::Trainer,
            reason: Reason::Failed(membership.doubt.clone()?),
        })
    }));
    let shown = scope.processes(&processes, &memberships, &named);
    let processes = processes
        .into_iter()
        .filter(|process| shown.contains(&process.pid));
    let mut processes: Vec<PlacedProcess> = processes
        .map(|process| {
            let membership = memberships.get(&process.pid).cloned().unwrap_or_default();
            let watched = watched.remove(&process.pid);
            judge(process, watched, membership, &gpus, &topology, settings)
        })
        .collect();
    let near_limit = processes.iter();
    gaps.extend(near_limit.filter_map(|of| memory::near_limit(of, &settings.limits)));
    let asked = scope.gpus(&processes, &gpus, &named);
    gaps.retain(|gap| scope::is_missed(gap, &shown, &asked, &gpus, &named));
    let observed = outline::observed(&host, kernel, &topology, &gpus, &processes);
    let held = settings.expected.as_ref().map(|expected| {
        // Who asks for some processes alone does not miss the others.
        let is_partial = scope.gpus.is_some() || scope.uid.is_some() || !named.is_empty();
        let is_open = gaps.iter().any(|gap| gap.fact.leaves_open());
        expected::hold(expected, &observed, is_partial, is_open)
    });
    let held = held.unwrap_or_default();
    gaps.extend(held.unknown);
    let placed = PlacedMachine {
        processes: &processes,
        gpus: &gpus,
        topology: &topology,
        kernel,
        window: window.as_ref(),
    };
    let context = RuleContext::new(placed, settings.limits, held.unexpected);
    let mut findings = rules::check(&context);
    let is_asked = |finding: &Finding| {
        let gpus = &finding.gpus;
        gpus.is_empty() || gpus.iter().any(|gpu| asked.contains(gpu))
    };
    let is_allowed = |finding: &Finding| settings.allowed.contains(finding.rule);
    findings
        .retain(|finding| !is_allowed(finding) && (!finding.pids.is_empty() || is_asked(finding)));
    let mut broken: BTreeMap<Pid, Vec<&'static str>> = BTreeMap::new();
    for finding in &findings {
        for pid in &finding.pids {
            broken.entry(*pid).or_default().push(finding.rule);
        }
    }
    for process in &mut processes {
        process.findings = broken.remove(&process.process.pid).unwrap_or_default();
    }
    // A list of GPUs with nobody on them answers no question about named processes or about one user's.
    let is_about_gpus = scope.uid.is_none() && named.is_empty();
    Report {
        gpus_in_scope: if is_about_gpus {
            asked
        } else {
            BTreeSet::new()
        },
        summary: summarise(&processes, &gaps),
        host,
        topology,
        gpus,
        devices,
        processes,
        findings,
        window,
        users,
        kernel,
        gaps,
    }
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
        container: tenant::container(groups),
        job: tenant::slurm_job(groups),
        pod: tenant::pod(groups),
        locality,
        process,
        watched,
        membership,
        home_nodes,
        local_nodes,
        cpu,
        memory,
        verdict,
        findings: Vec::new(),
    }
}

fn summarise(processes: &[PlacedProcess], gaps: &[Gap]) -> Summary {
    let verdicts: Vec<Verdict> = processes
        .iter()
        .filter_map(|process| process.verdict)
        .collect();
    let count = |wanted: &[Verdict]| verdicts.iter().filter(|v| wanted.contains(v)).count();
    let hidden = gaps.iter().any(|gap| gap.fact.leaves_open());
    let worst = verdicts.iter().copied().max();
    let worst = worst.max(hidden.then_some(Verdict::Unknown));
    let was_asked = |pid: Pid| {
        let is_of = |gap: &&Gap| gap.pid == Some(pid) && gap.fact == Fact::Memory;
        !gaps
            .iter()
            .filter(is_of)
            .any(|gap| gap.reason == Reason::NotAsked)
    };
    let not_asked = processes.iter().filter(|audited| {
        audited.verdict == Some(Verdict::Unknown)
            && audited.cpu.verdict != Some(Verdict::Unknown)
            && !was_asked(audited.process.pid)
    });
    let judged = processes.iter().filter(|process| process.is_judged());
    let (mut local, mut all, mut error) = (0.0, 0.0, 0.0);
    let mut is_exact = true;
    for pages in judged.filter_map(|process| process.memory.pages.as_ref()) {
        let Some(share) = pages.share else { continue };
        local += share.local.0 as f64;
        all += share.all.0 as f64;
        if let Some(estimate) = &pages.estimate {
            is_exact = false;
            error += share.all.0 as f64 * estimate.error.unwrap_or(0.0);
        }
    }
    Summary {
        verdict: worst.unwrap_or(Verdict::Ok),
        processes: verdicts.len(),
        ok: count(&[Verdict::Ok, Verdict::SingleNode]),
        at_risk: count(&[Verdict::AtRisk]),
        mismatch: count(&[Verdict::Mismatch]),
        unknown: count(&[Verdict::Unknown]),
        is_complete: count(&[Verdict::Unknown]) == not_asked.count() && !hidden,
        local_fraction: (all > 0.0).then(|| local / all),
        is_exact,
        local_error: (all > 0.0 && !is_exact).then(|| error / all),
    }
}
