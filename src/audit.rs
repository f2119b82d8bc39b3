//! Judges a machine: who works for which GPU, where that GPU hangs, and whether CPUs and memory are
//! there too.
//!
//! [`audit`] is a function of its arguments: it knows no files, no terminal and no clock.

pub mod attribution;
pub mod cpu;
pub mod finding;
pub mod home;
pub mod memory;
pub mod rules;
pub mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use attribution::{Part, Role};
use cpu::CpuPlace;
use finding::Finding;
use home::GpuPlace;
use memory::MemoryPlace;
use verdict::{Judged, Verdict};

use crate::model::gap::{Fact, Gap, Reason};
use crate::model::memory::Bytes;
use crate::model::pci::PciDevice;
use crate::model::process::{Pid, Process};
use crate::model::tenant;
use crate::model::topology::{NodeSet, Topology};
use crate::model::{Host, Machine};

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

/// Which processes are judged and shown; all of a machine's by default.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only those that work for one of these GPUs, by index.
    pub gpus: Option<BTreeSet<u32>>,
    /// Only those of this user.
    pub uid: Option<u32>,
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
    pub processes: Vec<Audited>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// Names of users by number, as far as they are known.
    pub users: BTreeMap<u32, String>,
    /// What could not be learnt.
    pub gaps: Vec<Gap>,
    /// The sum.
    pub summary: Summary,
}

impl Report {
    /// Whether it is known who uses this GPU.
    pub fn users_are_known(&self, gpu: u32) -> bool {
        let mut gaps = self.gaps.iter().map(|gap| &gap.fact);
        !gaps.any(|fact| matches!(fact, Fact::Driver) || *fact == Fact::GpuProcesses(gpu))
    }
}

/// One process, judged.
#[derive(Debug, Clone)]
pub struct Audited {
    /// As it was observed.
    pub process: Process,
    /// What it does in the job.
    pub part: Part,
    /// The home nodes of its GPUs.
    pub home_nodes: NodeSet,
    /// Where it should run. Empty where that is not known, and for a launcher.
    pub local_nodes: NodeSet,
    /// Where its threads are.
    pub cpu: CpuPlace,
    /// Where its memory is.
    pub memory: MemoryPlace,
    /// The worse of the two. `None` for launchers and helpers, which are not judged.
    pub verdict: Option<Verdict>,
    /// The container that it runs in, from its control group.
    pub container: Option<String>,
    /// Its Slurm job, from its control group.
    pub job: Option<String>,
    /// The rules that it breaks.
    pub findings: Vec<&'static str>,
}

impl Audited {
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
    /// The share of their working memory that is local; `None` where there is none. Pages that several
    /// share count in each.
    pub local_fraction: Option<f64>,
}

/// Judges what was observed.
pub fn audit(machine: Machine, limits: &Limits, scope: &Scope) -> Report {
    let Machine {
        host,
        topology,
        gpus,
        devices,
        processes,
        named,
        users,
        mut gaps,
    } = machine;
    let gpus: Vec<GpuPlace> = gpus
        .into_iter()
        .map(|gpu| home::place(gpu, &topology))
        .collect();
    gaps.extend(gpus.iter().filter_map(homeless));
    gaps.extend(gpus.iter().filter_map(hidden_users));
    let parts = attribution::attribute(&processes, &gpus);
    let shown = in_scope(&processes, &parts, &named, scope);
    let processes = processes
        .into_iter()
        .filter(|process| shown.contains(&process.pid));
    let mut processes: Vec<Audited> = processes
        .map(|process| {
            let part = parts.get(&process.pid).cloned().unwrap_or_default();
            judge(process, part, &gpus, &topology, limits)
        })
        .collect();
    let in_use: BTreeSet<u32> = processes
        .iter()
        .flat_map(|of| of.part.gpus.clone())
        .collect();
    let is_asked = |gpu: u32| match &scope.gpus {
        Some(wanted) => wanted.contains(&gpu),
        None => named.is_empty() || in_use.contains(&gpu),
    };
    gaps.retain(|gap| match (&gap.fact, gap.pid) {
        // Where no GPU is involved, nothing is hidden by a driver that is not there.
        (Fact::Driver, _) => named.is_empty() || !gpus.is_empty(),
        (Fact::GpuProcesses(gpu) | Fact::GpuHomeNode(gpu) | Fact::GpuMemoryNode(gpu), _) => {
            is_asked(*gpu)
        }
        // Of a process that cannot be seen it is only known on which GPUs it is.
        (Fact::Process, Some(pid)) => {
            let mut own = gpus.iter().filter(|place| place.is_used_by(pid)).peekable();
            own.peek().is_none() || own.any(|place| is_asked(place.gpu.index))
        }
        (_, Some(pid)) => shown.contains(&pid),
        (_, None) => true,
    });
    let findings = rules::check(&processes, &topology);
    for process in &mut processes {
        let broken = findings
            .iter()
            .filter(|finding| finding.pids.contains(&process.process.pid));
        process.findings = broken.map(|finding| finding.rule).collect();
    }
    let indexes = gpus.iter().map(|place| place.gpu.index);
    // A list of GPUs with nobody on them answers no question about one user's processes.
    let has_heading = |gpu: &u32| is_asked(*gpu) && scope.uid.is_none() && named.is_empty();
    let gpus_in_scope = indexes.filter(has_heading).collect();
    Report {
        gpus_in_scope,
        summary: summarise(&processes, &gaps),
        host,
        topology,
        gpus,
        devices,
        processes,
        findings,
        users,
        gaps,
    }
}

fn judge(
    process: Process,
    part: Part,
    gpus: &[GpuPlace],
    topology: &Topology,
    limits: &Limits,
) -> Audited {
    let own = || gpus.iter().filter(|gpu| part.gpus.contains(&gpu.gpu.index));
    let home_nodes = own().flat_map(|gpu| &gpu.home_nodes).copied().collect();
    // One GPU of several whose place is not known leaves open where the process should be.
    let all_known = own().all(|gpu| !gpu.local_nodes.is_empty());
    let local_nodes: NodeSet = match part.role {
        Some(_) if !all_known => NodeSet::new(),
        Some(_) => own().flat_map(|gpu| &gpu.local_nodes).copied().collect(),
        None => cpu::own_node(&process, topology),
    };
    let on_gpu = own().filter_map(|gpu| gpu.gpu.own_memory_node).collect();
    let judged = Judged {
        local: &local_nodes,
        on_gpu: &on_gpu,
        topology,
    };
    let mut cpu = cpu::place(&process, &judged);
    let mut memory = memory::place(&process, part.role == Some(Role::Trainer), &judged, limits);
    let verdict = match part.role {
        Some(Role::Launcher | Role::Helper) => {
            (cpu.verdict, memory.verdict) = (None, None);
            None
        }
        _ => cpu.verdict.max(memory.verdict),
    };
    let cgroups = process.cgroups.as_deref().unwrap_or_default();
    Audited {
        container: tenant::container(cgroups),
        job: tenant::slurm_job(cgroups),
        process,
        part,
        home_nodes,
        local_nodes,
        cpu,
        memory,
        verdict,
        findings: Vec::new(),
    }
}

/// A GPU for which nobody can say where its processes should run.
fn homeless(place: &GpuPlace) -> Option<Gap> {
    let why = match (place.local_nodes.is_empty(), place.home_nodes.is_empty()) {
        (false, _) => return None,
        (true, true) => "the kernel does not tell (numa_node)",
        (true, false) => {
            "it has no CPUs, and no distances tell which node with CPUs is the nearest"
        }
    };
    Some(Gap {
        pid: None,
        fact: Fact::GpuHomeNode(place.gpu.index),
        reason: Reason::Failed(why.to_owned()),
    })
}

/// GPU memory in use below this is the driver's own: an idle GPU was seen with some MiB.
const DRIVERS_OWN: Bytes = Bytes(128 << 20);

/// In another PID namespace the driver's lists are empty without a word, and memory is in use all the same.
fn hidden_users(place: &GpuPlace) -> Option<Gap> {
    let gpu = &place.gpu;
    let used = gpu.memory_used.filter(|used| *used > DRIVERS_OWN)?;
    let nobody = gpu.contexts.as_ref().is_some_and(Vec::is_empty);
    nobody.then(|| Gap {
        pid: None,
        fact: Fact::GpuProcesses(gpu.index),
        reason: Reason::Failed(format!(
            "{used} in use by processes that are not visible here: another PID namespace; run on the host or \
             with the host's PID namespace"
        )),
    })
}

/// The processes to show. A launcher is there for what it launched, a helper for whom it helps.
fn in_scope(
    processes: &[Process],
    parts: &BTreeMap<Pid, Part>,
    named: &[Pid],
    scope: &Scope,
) -> BTreeSet<Pid> {
    let family = attribution::family(processes);
    let below_named = family.with_descendants(named.iter().copied());
    let matches = |process: &&Process| {
        let part = parts.get(&process.pid);
        let on_gpu = |wanted: &BTreeSet<u32>| {
            part.is_some_and(|part| part.gpus.iter().any(|gpu| wanted.contains(gpu)))
        };
        scope.gpus.as_ref().is_none_or(on_gpu)
            && scope
                .uid
                .is_none_or(|uid| process.uid.is_none_or(|owner| owner == uid))
            && (named.is_empty() || below_named.contains(&process.pid))
    };
    let mut shown: BTreeSet<Pid> = processes.iter().filter(matches).map(|p| p.pid).collect();
    if named.is_empty() && scope.gpus.is_some() && scope.uid.is_none() {
        let is_trainer = |pid: &&Pid| {
            let part = parts.get(pid);
            part.is_some_and(|part| part.role == Some(Role::Trainer))
        };
        let mut launchers = BTreeSet::new();
        for trainer in shown.iter().filter(is_trainer) {
            let mut at = family.parent(*trainer);
            while let Some(launcher) = at.filter(|pid| launchers.insert(*pid)) {
                at = family.parent(launcher);
            }
        }
        let helpers = launchers.iter().flat_map(|pid| family.children(*pid));
        let is_helper = |pid: &&Pid| {
            let part = parts.get(pid);
            part.is_some_and(|part| part.role == Some(Role::Helper) && part.trainer.is_none())
        };
        shown.extend(helpers.filter(is_helper));
        shown.extend(launchers);
    }
    shown
}

fn summarise(processes: &[Audited], gaps: &[Gap]) -> Summary {
    let verdicts: Vec<Verdict> = processes
        .iter()
        .filter_map(|process| process.verdict)
        .collect();
    let count = |wanted: &[Verdict]| verdicts.iter().filter(|v| wanted.contains(v)).count();
    let hidden = gaps.iter().any(|gap| gap.fact.leaves_open());
    let worst = verdicts.iter().copied().max();
    let worst = worst.max(hidden.then_some(Verdict::Unknown));
    let judged = processes.iter().filter(|process| process.is_judged());
    let (local, all) = judged
        .filter_map(|process| process.memory.pages.as_ref()?.share)
        .fold((0.0, 0.0), |(local, all), share| {
            (local + share.local.0 as f64, all + share.all.0 as f64)
        });
    Summary {
        verdict: worst.unwrap_or(Verdict::Ok),
        processes: verdicts.len(),
        ok: count(&[Verdict::Ok, Verdict::SingleNode]),
        at_risk: count(&[Verdict::AtRisk]),
        mismatch: count(&[Verdict::Mismatch]),
        unknown: count(&[Verdict::Unknown]),
        local_fraction: (all > 0.0).then(|| local / all),
    }
}
