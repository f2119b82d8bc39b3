//! What a rule reads, and how to write one.
//!
//! A rule is one file, named as the rule (`cpu_remote.rs` for cpu-remote), and its two lines in `rules.rs`. Copy
//! `policy_interleaved.rs`: it is the shortest rule about processes. `zone_reclaim_on.rs` is one about the machine, and
//! `gpu_node_unknown.rs` one about GPUs. The file has four parts:
//!
//! 1. **Header.** `numa-audit explain RULE` prints it. Four paragraphs: what the rule finds, "Why it costs: ", "What it
//!    cannot know: ", "What to do: ". A test checks the form.
//! 2. **`RULE`.** The name, the severity, the text (`include_str!` of the file itself) and the function `check`.
//! 3. **`check(&RuleContext) -> Vec<Violation>`.** It has no other input. A fact that is unknown (`None`, an empty set of
//!    nodes) breaks no rule: it is reported as a gap elsewhere.
//!    - [`RuleContext::groups`] finds the processes that break the rule and puts those together that have one cause. [`RuleContext::groups_by`] also separates them by a key of the rule. [`RuleContext::jobs`] has the trainers
//!      of each job.
//!    - [`PlacedProcess`] has the facts: `process` (as observed), `membership` (role, GPUs), `cpu`, `memory`,
//!      `home_nodes`, `local_nodes`. Its methods `is_local`, `is_bound_elsewhere` and `cpuset_excludes_cpus` answer what
//!      rules ask most.
//! 4. **Violation**, made by `Violation::by(&group, ..)`, `of_gpu` or `of_machine`, of:
//!    - *message*: one sentence. Start with [`Group::but`] ("GPU 0 is attached to node 0, but trainer 100"), add a verb
//!      with [`Group::agree`] ("has", "have") and nodes with [`node_names`](super::words::node_names). [`Group::names`] is
//!      the subject alone. For where processes run use [`Running`](super::running::Running), for where memory is
//!      [`NonLocalMemory`](super::non_local_memory::NonLocalMemory), for CPU time of --for
//!      [`CpuTimeShare`](super::cpu_time_share::CpuTimeShare).
//!    - *evidence*: the same facts as values, by name. JSON has it, and names are never changed.
//!      A group may have processes that belong in several places: [`Group::each_part`] makes a clause for each.
//!    - *fix*: [`bind`](super::remedy::bind) for processes that must run elsewhere,
//!      [`bind_and_move`](super::remedy::bind_and_move) if their memory must move too; else `Remedy::in_words`. Commands come
//!      from [`PlacedProcess::target`] only, words from [`launcher_words`](super::launcher_words).
//!
//! **Rules yield by their conditions, not by order.** No rule knows the findings of another one. Two rules about one fact
//! have conditions that exclude each other:
//! - cpu-remote, cpu-near, cpu-unbound and threads-astray take different values of `cpu.placement`. A new rule about where
//!   a process runs must take one that they do not, or be about a group (as ranks-on-one-node and worker-split).
//!   `Unsettled` is of cpu-unbound where local nodes are allowed, and of cpu-near where none is.
//! - memory-remote and memory-near take different values of `memory.verdict`. pinned-remote is about a part of the memory,
//!   and stands beside them.
//! - cpus-crowded leaves masks of whole nodes to node-crowded.
//! - If a cpuset is the cause, the other rules still report the effect, and `bind` refers to cpuset-excludes-gpu. Only
//!   binding-not-in-effect is silent then.
//!
//! Return nothing on a machine of a single node ([`RuleContext::is_single_node`]), unless the rule holds there too.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::audit::place::{GpuPlace, Locality};
use crate::audit::rules::Group;
use crate::audit::{Limits, PlacedProcess};
use crate::jobs::{Membership, ProcessTree, Task};
use crate::machine::{
    BindingRequest, CpuFacts, Environment, KernelSettings, PciDevice, Rank, Topology, Window,
};
use crate::units::{NodeId, NodeSet, Pid};
use crate::words::Role;

/// A machine whose GPUs and processes have been placed.
#[derive(Clone, Copy)]
pub(crate) struct PlacedMachine<'a> {
    /// By PID.
    pub(crate) processes: &'a [PlacedProcess],
    /// By index.
    pub(crate) gpus: &'a [GpuPlace],
    pub(crate) topology: &'a Topology,
    pub(crate) cpus: &'a CpuFacts,
    /// PCI devices that are not among the GPUs.
    pub(crate) devices: &'a [PciDevice],
    /// Whether GPUs exist that no source lists.
    pub(crate) has_unlisted_gpus: bool,
    pub(crate) kernel: KernelSettings,
    /// `None` without --for.
    pub(crate) window: Option<&'a Window>,
}

/// Everything that a rule may use.
pub(crate) struct RuleContext<'a> {
    pub(crate) machine: PlacedMachine<'a>,
    pub(crate) limits: Limits,
    tree: ProcessTree,
    by_pid: BTreeMap<Pid, &'a PlacedProcess>,
    /// What is above each process.
    above: BTreeMap<Pid, Above>,
    /// All processes that have a trainer below them.
    above_trainers: BTreeSet<Pid>,
    /// The trainers of each job with several trainers.
    jobs: Vec<Group<'a>>,
    /// The number of the job that each trainer belongs to.
    job_of_trainer: BTreeMap<Pid, usize>,
}

/// What the ancestors of a process are. Each process has it of its parent: going up from each would take very long where
/// processes are a chain.
#[derive(Clone, Default)]
struct Above {
    /// The nearest launcher.
    launcher: Option<Pid>,
    /// The topmost launcher or trainer.
    top: Option<Pid>,
    has_trainer: bool,
    /// The tasks of all of them. Processes share the set.
    tasks: Rc<Vec<Task>>,
}

impl Above {
    /// What is above a child of this process.
    fn below(&self, pid: Pid, of: Option<&Membership>) -> Self {
        let mut below = self.clone();
        let Some(of) = of else {
            return below;
        };
        match of.role {
            Some(Role::Launcher) => below.launcher = Some(pid),
            Some(Role::Trainer) => below.has_trainer = true,
            _ => {}
        }
        if matches!(of.role, Some(Role::Launcher | Role::Trainer)) {
            below.top = below.top.or(Some(pid));
        }
        if let Some(task) = of.task.filter(|task| !self.tasks.contains(task)) {
            Rc::make_mut(&mut below.tasks).push(task);
        }
        below
    }
}

/// The launchers above a process whose requests count. A job has two or three.
const MOST_LAUNCHERS: usize = 64;

impl<'a> RuleContext<'a> {
    pub(crate) fn new(machine: PlacedMachine<'a>, limits: Limits) -> Self {
        let processes = machine.processes.iter();
        let by_pid: BTreeMap<Pid, &PlacedProcess> = processes
            .clone()
            .map(|placed| (placed.process.pid, placed))
            .collect();
        let pairs = processes.map(|placed| (placed.process.pid, placed.process.ppid));
        let tree = ProcessTree::new(pairs);
        let above = tree.fold_down(&Above::default(), |above, parent| {
            above.below(parent, by_pid.get(&parent).map(|of| &of.membership))
        });
        let mut context = Self {
            tree,
            by_pid,
            machine,
            limits,
            above,
            above_trainers: BTreeSet::new(),
            jobs: Vec::new(),
            job_of_trainer: BTreeMap::new(),
        };
        let trainers = context.trainers().map(|trainer| trainer.process.pid);
        context.above_trainers = context.tree.above(trainers);
        context.jobs = context.find_jobs();
        let numbered = context.jobs.iter().enumerate();
        let trainers =
            numbered.flat_map(|(job, of)| of.pids().into_iter().map(move |pid| (pid, job)));
        context.job_of_trainer = trainers.collect();
        context
    }

    /// Whether only one node has CPUs, so that placement cannot be wrong.
    pub(crate) fn is_single_node(&self) -> bool {
        self.machine.topology.single_node().is_some()
    }

    pub(crate) fn process(&self, pid: Pid) -> Option<&'a PlacedProcess> {
        self.by_pid.get(&pid).copied()
    }

    /// The processes that have a verdict: trainers, workers, and processes named by --pid.
    pub(crate) fn judged(&self) -> impl Iterator<Item = &'a PlacedProcess> + '_ {
        self.machine
            .processes
            .iter()
            .filter(|placed| placed.is_judged())
    }

    pub(crate) fn trainers(&self) -> impl Iterator<Item = &'a PlacedProcess> + '_ {
        self.judged()
            .filter(|placed| placed.membership.role == Some(Role::Trainer))
    }

    /// Whether something has changed the binding that a worker inherits from its trainer.
    pub(crate) fn is_rebound(&self, placed: &PlacedProcess) -> bool {
        let trainer = self.trainer_of(placed);
        placed.membership.role == Some(Role::Worker)
            && trainer.is_some_and(|trainer| trainer.cpu.bound() == Some(true))
            && placed.cpu.bound() != Some(true)
    }

    /// The trainer that a worker works for.
    pub(crate) fn trainer_of(&self, worker: &PlacedProcess) -> Option<&'a PlacedProcess> {
        self.process(worker.membership.trainer?)
    }

    /// The number of the job with several trainers that a process belongs to.
    fn job_of(&self, placed: &PlacedProcess) -> Option<usize> {
        let trainer = placed.membership.trainer.unwrap_or(placed.process.pid);
        self.job_of_trainer.get(&trainer).copied()
    }

    /// The trainers of the job with several trainers that a process belongs to.
    pub(crate) fn job(&self, placed: &PlacedProcess) -> Option<&Group<'a>> {
        self.jobs.get(self.job_of(placed)?)
    }

    /// The judged processes for which `is_broken` holds: one group for each cause. Processes are in one group if they are of
    /// one job with several trainers or, where there is none, have the same home and local nodes, and if a cpuset keeps all
    /// or none of them from there. Workers that are not where their bound trainer is have a cause of their own. A process
    /// without a GPU is a group of its own.
    pub(crate) fn groups(&self, is_broken: impl Fn(&PlacedProcess) -> bool) -> Vec<Group<'a>> {
        self.groups_by(is_broken, |_| ())
    }

    /// As [`Self::groups`]. All processes of a group also have the same `key`.
    pub(crate) fn groups_by<K: Ord>(
        &self,
        is_broken: impl Fn(&PlacedProcess) -> bool,
        key: impl Fn(&PlacedProcess) -> K,
    ) -> Vec<Group<'a>> {
        let mut groups: BTreeMap<_, Vec<&PlacedProcess>> = BTreeMap::new();
        for placed in self.judged().filter(|placed| is_broken(placed)) {
            let has_gpu = !placed.membership.gpus.is_empty();
            let job = self.job_of(placed).filter(|_| has_gpu);
            let own_place = (&placed.home_nodes, &placed.local_nodes);
            let is_rebound = self.is_rebound(placed);
            let cause = (job, job.is_none().then_some(own_place), is_rebound);
            let alone = (!has_gpu).then_some(placed.process.pid);
            let key = (cause, self.is_blocked_by_cpuset(placed), key(placed), alone);
            groups.entry(key).or_default().push(placed);
        }
        let mut groups: Vec<Group> = groups.into_values().filter_map(Group::new).collect();
        groups.sort_by_key(|group| (&group.first().home_nodes, &group.first().local_nodes));
        groups
    }

    /// The trainers of each job with several trainers. Trainers are of one job if they have the same user, container,
    /// rendezvous, jobs of schedulers, and topmost launcher or rank above them. A common parent alone makes no job: a shell
    /// or init can start anything.
    pub(crate) fn jobs(&self) -> &[Group<'a>] {
        &self.jobs
    }

    fn find_jobs(&self) -> Vec<Group<'a>> {
        let mut jobs: BTreeMap<_, Vec<&PlacedProcess>> = BTreeMap::new();
        for trainer in self.trainers() {
            let rendezvous = self.rendezvous(trainer);
            let pid = trainer.process.pid;
            // Lightning's rank 0 starts the other ranks.
            let itself = Some(pid).filter(|pid| self.above_trainers.contains(pid));
            let launcher = self.above(pid).and_then(|above| above.top).or(itself);
            let scheduler_jobs = trainer.names.scheduler_jobs.iter();
            let scheduler_jobs: Vec<(&str, &str)> = scheduler_jobs
                .map(|job| (job.scheduler, job.id.as_str()))
                .collect();
            if rendezvous.is_some() || launcher.is_some() || !scheduler_jobs.is_empty() {
                // Each container has its own ports. Another user may claim any port.
                let container = trainer.names.container.as_deref();
                let uid = trainer.process.uid;
                let job = (rendezvous, launcher, scheduler_jobs, container, uid);
                jobs.entry(job).or_default().push(trainer);
            }
        }
        jobs.into_values()
            .filter(|trainers| trainers.len() > 1)
            .filter_map(Group::new)
            .collect()
    }

    fn above(&self, pid: Pid) -> Option<&Above> {
        self.above.get(&pid)
    }

    /// The tasks of the processes above a process, and its own.
    pub(crate) fn tasks_upwards(&self, placed: &PlacedProcess) -> impl Iterator<Item = Task> + '_ {
        let above = self.above(placed.process.pid).into_iter();
        let above = above.flat_map(|above| above.tasks.iter().copied());
        above.chain(placed.membership.task)
    }

    /// Whether a trainer is above or below this process.
    pub(crate) fn is_in_line_with_trainer(&self, pid: Pid) -> bool {
        self.above_trainers.contains(&pid) || self.above(pid).is_some_and(|above| above.has_trainer)
    }

    /// Where the ranks of a trainer's job meet. A rank that is known by elimination has started the other ones.
    fn rendezvous(&self, trainer: &PlacedProcess) -> Option<(Option<&'a str>, Option<u32>)> {
        let pid = trainer.process.pid;
        let local_rank = trainer.membership.ranks.local_rank;
        let is_first = local_rank.is_some_and(|rank| rank.source == Rank::ELIMINATION);
        let mut open = vec![pid];
        while let Some(at) = open.pop() {
            let process = self.process(at);
            let environment = process.and_then(|of| of.process.environment.as_ref());
            if let Some(found) = environment.and_then(Environment::rendezvous) {
                return Some(found);
            }
            // What is below another trainer is that trainer's: so each process is looked at once.
            let is_other = process.is_some_and(|of| of.membership.role == Some(Role::Trainer));
            if is_first && (at == pid || !is_other) {
                open.extend(self.tree.children(at).iter().rev());
            }
        }
        None
    }

    /// The launchers above a process, the nearest first.
    pub(crate) fn launchers(
        &self,
        placed: &PlacedProcess,
    ) -> impl Iterator<Item = &'a PlacedProcess> + '_ {
        let next = |pid: Pid| self.above(pid)?.launcher;
        // The tree's cycles are cut in what is above each process, so this ends.
        let launchers = std::iter::successors(next(placed.process.pid), move |pid| next(*pid));
        launchers.filter_map(|pid| self.process(pid))
    }

    /// All processes that have a trainer below them. They may be trainers themselves.
    pub(crate) fn ancestors_of_trainers(&self) -> &BTreeSet<Pid> {
        &self.above_trainers
    }

    /// The bindings that the command line and the environment of a process request, and the command lines of its
    /// launchers; the nearest first.
    pub(crate) fn binding_requests<'b>(
        &'b self,
        placed: &'b PlacedProcess,
    ) -> impl Iterator<Item = &'b BindingRequest> {
        let environment = placed.process.environment.iter();
        let own = placed.process.asks.iter();
        let launchers = self.launchers(placed).take(MOST_LAUNCHERS);
        own.chain(environment.flat_map(|environment| &environment.asks))
            .chain(launchers.flat_map(|launcher| &launcher.process.asks))
    }

    /// The index of the GPU whose own memory is this node.
    pub(crate) fn gpu_of_memory(&self, node: NodeId) -> Option<u32> {
        self.machine
            .gpus
            .iter()
            .find(|place| place.gpu.own_memory_node == Some(node))
            .map(|place| place.gpu.index)
    }

    /// Whether a node is one of `nodes`, or is of the same socket as one of them.
    pub(crate) fn is_near_any(&self, node: NodeId, nodes: &NodeSet) -> bool {
        let is_near = |other: &NodeId| self.machine.topology.same_package(node, *other);
        nodes.contains(&node) || nodes.iter().any(is_near)
    }

    /// Whether the cpuset keeps a process from its local nodes, so that no affinity or policy of its own can be right.
    pub(crate) fn is_blocked_by_cpuset(&self, placed: &PlacedProcess) -> bool {
        placed.cpuset_excludes_cpus() || self.cpuset_excludes_memory(placed)
    }

    /// Whether the cpuset allows no memory of the local memory nodes, nor of the local nodes. `false` if unknown.
    pub(crate) fn cpuset_excludes_memory(&self, placed: &PlacedProcess) -> bool {
        let allowed = placed.memory.mems_allowed.as_ref();
        let is_known = !placed.memory_locality.is_empty();
        is_known && excludes(allowed, &(&placed.local_memory_nodes | &placed.local_nodes))
    }
}

impl PlacedProcess {
    /// Whether a node is one of its local nodes.
    pub(crate) fn is_local(&self, node: NodeId) -> bool {
        self.locality(node) == Some(Locality::Local)
    }

    /// Whether the cpuset allows no CPU of the local nodes. `false` if unknown.
    pub(crate) fn cpuset_excludes_cpus(&self) -> bool {
        excludes(self.cpu.cpuset_nodes.as_ref(), &self.local_nodes)
    }
}

fn excludes(allowed: Option<&NodeSet>, local: &NodeSet) -> bool {
    // The kernel never writes an empty list of allowed nodes: an empty set is unknown.
    allowed.is_some_and(|allowed| {
        !allowed.is_empty() && !local.is_empty() && allowed.is_disjoint(local)
    })
}
