//! The role of each process: launcher, trainer, worker or helper. And the trainer of each worker.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::known_programs;
use crate::jobs::{
    DATA_LOADER, Family, ProcessTree, ProgramFacts, Task, TaskKind, TrainerMatch, Trainers,
    is_same_program, is_worker_program, serves_gpus, task,
};
use crate::machine::{ControlGroup, Gpu, Instance, Partition, Process, Ranks};
use crate::units::Pid;
use crate::words::Evidence;
pub(crate) use crate::words::Role;

/// The role of a process, its GPUs and its trainer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Membership {
    /// `None` for a process that has nothing to do with a GPU.
    pub(crate) role: Option<Role>,
    /// The GPUs that it works for, by index. Empty for a launcher.
    pub(crate) gpus: Vec<u32>,
    /// The MIG instances that it works for, each with the index of its GPU.
    pub(crate) instances: Vec<(u32, Instance)>,
    /// The partitions of AMD's GPUs that it works for, each with the index of its GPU.
    pub(crate) partitions: Vec<(u32, Partition)>,
    /// How the GPUs are known.
    pub(crate) gpu_source: Option<Evidence>,
    /// The trainer that it works for; its own PID for a trainer.
    pub(crate) trainer: Option<Pid>,
    /// How the trainer is known.
    pub(crate) attribution: Option<Evidence>,
    /// Why the trainer of a worker is unknown, or the GPU of a rank. `None` too for a worker of a job that has ended.
    pub(crate) doubt: Option<String>,
    /// According to its name and argv.
    pub(crate) task: Option<Task>,
    /// Its ranks; of a worker those of its trainer.
    pub(crate) ranks: Ranks,
}

impl Membership {
    /// Whether its placement matters: at its GPUs or, if it has none, on the node that it runs on. The placement of a
    /// worker whose job has ended does not.
    pub(crate) fn is_judged(&self) -> bool {
        match self.role {
            Some(Role::Launcher | Role::Helper) => false,
            Some(Role::Worker) => self.trainer.is_some() || self.doubt.is_some(),
            Some(Role::Trainer) | None => true,
        }
    }
}

/// The membership of each process. `named` are PIDs of the command line: if there are any, everything below
/// them belongs to their job.
pub(crate) fn attribute(
    tree: &ProcessTree,
    processes: &[Process],
    orphans: &BTreeSet<Pid>,
    named: &[Pid],
    gpus: &[&Gpu],
) -> BTreeMap<Pid, Membership> {
    let mut jobs = Jobs::new(tree, processes, orphans, gpus);
    jobs.find_pending();
    let trainers: Vec<Pid> = jobs.trainers.keys().copied().collect();
    jobs.launchers = match named {
        [] => tree.launchers(trainers.iter().copied(), &jobs.by_pid),
        named => &tree.above(trainers.clone()) & &tree.with_descendants(named.iter().copied()),
    };
    for trainer in trainers {
        jobs.assign_descendants(trainer, trainer);
    }
    jobs.assign_orphans();
    jobs.find_ranks();
    let memberships = processes.iter();
    memberships
        .map(|process| (process.pid, jobs.membership(process)))
        .collect()
}

/// The GPUs that a process uses itself.
struct GpuUse {
    gpus: Vec<u32>,
    instances: BTreeSet<(u32, Instance)>,
    partitions: BTreeSet<(u32, Partition)>,
    evidence: Evidence,
}

impl GpuUse {
    /// Those of all processes. The lists of the GPUs are gone through once, however many processes there are.
    fn of_all(gpus: &[&Gpu]) -> BTreeMap<Pid, Self> {
        let mut uses: BTreeMap<Pid, Self> = BTreeMap::new();
        for gpu in gpus {
            let contexts = gpu.contexts.iter().flatten();
            let listed = contexts.map(|of| (of.pid, Evidence::Nvml, of.instance));
            let others = gpu.users.iter().map(|(pid, by)| (*pid, *by, None));
            for (pid, evidence, instance) in listed.chain(others) {
                let of = uses.entry(pid).or_insert_with(|| Self {
                    gpus: Vec::new(),
                    instances: BTreeSet::new(),
                    partitions: BTreeSet::new(),
                    evidence,
                });
                // NVML may list one context twice.
                if of.gpus.last() != Some(&gpu.index) {
                    of.gpus.push(gpu.index);
                    let partitions = gpu.partition_users.get(&pid).into_iter().flatten();
                    of.partitions
                        .extend(partitions.map(|partition| (gpu.index, *partition)));
                }
                of.instances
                    .extend(instance.map(|instance| (gpu.index, instance)));
            }
        }
        uses
    }
}

type ByPid<'a> = BTreeMap<Pid, &'a Process>;

impl ProgramFacts for ByPid<'_> {
    fn name(&self, pid: Pid) -> &str {
        self.get(&pid).map_or("", |process| &process.name)
    }

    fn command(&self, pid: Pid) -> Option<Vec<String>> {
        self.get(&pid)?.command.clone()
    }

    fn groups(&self, pid: Pid) -> Option<Vec<ControlGroup>> {
        self.get(&pid)?.groups.as_deref().map(<[_]>::to_vec)
    }
}

struct Jobs<'a> {
    tree: &'a ProcessTree,
    by_pid: ByPid<'a>,
    orphans: &'a BTreeSet<Pid>,
    trainers: BTreeMap<Pid, GpuUse>,
    /// Programs that use a GPU to serve or to monitor.
    servers: BTreeMap<Pid, GpuUse>,
    launchers: BTreeSet<Pid>,
    /// Ranks that do not have a GPU context yet, with all that they have started.
    pending: BTreeSet<Pid>,
    /// The ranks of trainers and of what will be one.
    ranks: BTreeMap<Pid, Ranks>,
    trainer_of: BTreeMap<Pid, (Pid, Evidence)>,
    /// Orphans without a trainer. The reason why it is unknown, or `None` if their job has ended.
    unassigned: BTreeMap<Pid, Option<String>>,
}

impl<'a> Jobs<'a> {
    fn new(
        tree: &'a ProcessTree,
        processes: &'a [Process],
        orphans: &'a BTreeSet<Pid>,
        gpus: &[&Gpu],
    ) -> Self {
        let by_pid: ByPid = processes.iter().map(|of| (of.pid, of)).collect();
        let uses = GpuUse::of_all(gpus).into_iter();
        let uses = uses.filter(|(pid, _)| by_pid.contains_key(pid));
        let (servers, trainers) = uses.partition(|(pid, _)| serves_gpus(by_pid.name(*pid)));
        Self {
            tree,
            by_pid,
            orphans,
            trainers,
            servers,
            launchers: BTreeSet::new(),
            pending: BTreeSet::new(),
            ranks: BTreeMap::new(),
            trainer_of: BTreeMap::new(),
            unassigned: BTreeMap::new(),
        }
    }

    /// Finds the ranks below a trainer that do not have a GPU context yet: they run the trainer's program, and have another
    /// local rank than the trainer. They are no workers of this trainer.
    fn find_pending(&mut self) {
        let trainers = self
            .tree
            .nearest_above(|above| self.trainers.contains_key(&above));
        let local_rank = |pid: &Pid| self.by_pid.get(pid)?.environment.as_ref()?.ranks.local_rank;
        let is_pending = |pid: &Pid| {
            let own = self
                .by_pid
                .get(pid)
                .copied()
                .filter(|_| !self.trainers.contains_key(pid));
            let trainer = trainers.get(pid);
            let trainer = trainer.and_then(|pid| self.by_pid.get(pid).copied());
            own.zip(trainer).is_some_and(|(own, trainer)| {
                trainer.environment.is_some()
                    && local_rank(pid).is_some()
                    && local_rank(pid) != local_rank(&trainer.pid)
                    && own.name != DATA_LOADER
                    && is_same_program(command(own), command(trainer))
                    && !is_worker_program(&own.name, command(own))
            })
        };
        let pending = self.by_pid.keys().copied().filter(is_pending);
        let pending = self.tree.with_descendants(pending.collect::<Vec<_>>());
        self.pending = pending
            .into_iter()
            .filter(|pid| !self.trainers.contains_key(pid))
            .collect();
    }

    /// Whether this is a rank without a GPU context, and not one of the processes that it has started.
    fn is_pending_rank(&self, pid: Pid) -> bool {
        let parent = self.tree.parent(pid);
        let is_below = parent.is_some_and(|parent| self.pending.contains(&parent));
        self.pending.contains(&pid) && !is_below
    }

    fn find_ranks(&mut self) {
        let pending = self
            .pending
            .iter()
            .filter(|pid| self.is_pending_rank(**pid));
        let family = Family {
            tree: self.tree,
            by_pid: &self.by_pid,
            ranks: self.trainers.keys().chain(pending).copied().collect(),
        };
        self.ranks = family.lookup();
    }

    /// Assigns everything below `top` to a trainer, down to the next trainers.
    fn assign_descendants(&mut self, top: Pid, trainer: Pid) {
        let mut open = vec![(top, Evidence::Ancestor)];
        while let Some((parent, evidence)) = open.pop() {
            let evidence = if self.is_forkserver(parent) {
                Evidence::Forkserver
            } else {
                evidence
            };
            for child in self.tree.children(parent) {
                if !self.is_assigned(*child) && !self.pending.contains(child) {
                    self.trainer_of.insert(*child, (trainer, evidence));
                    open.push((*child, evidence));
                }
            }
        }
    }

    /// Finds the trainers of orphans, the oldest orphan first: its descendants may be orphans too.
    fn assign_orphans(&mut self) {
        let trainers = self.trainers.keys().filter_map(|pid| self.by_pid.get(pid));
        let trainers = Trainers::new(trainers.copied());
        let orphans = self.orphans.iter().filter_map(|pid| self.by_pid.get(pid));
        let mut orphans: Vec<&Process> = orphans.copied().collect();
        orphans.sort_by_key(|orphan| (orphan.start_time_ticks, orphan.pid));
        for orphan in orphans {
            let pid = orphan.pid;
            if self.is_assigned(pid) || self.launchers.contains(&pid) {
                continue;
            }
            match trainers.of(orphan) {
                TrainerMatch::One(trainer, evidence) => {
                    self.trainer_of.insert(pid, (trainer, evidence));
                    self.assign_descendants(pid, trainer);
                }
                TrainerMatch::Unclear(why) => drop(self.unassigned.insert(pid, Some(why))),
                TrainerMatch::None => drop(self.unassigned.insert(pid, None)),
            }
        }
    }

    fn is_assigned(&self, pid: Pid) -> bool {
        self.trainers.contains_key(&pid) || self.trainer_of.contains_key(&pid)
    }

    fn membership(&self, process: &Process) -> Membership {
        let pid = process.pid;
        let own = self.trainers.get(&pid).or_else(|| self.servers.get(&pid));
        let role = self.role(process);
        let has_trainer = own.is_none() && role != Some(Role::Launcher);
        let assigned = self.trainer_of.get(&pid).filter(|_| has_trainer);
        let used = own.or_else(|| self.trainers.get(&assigned?.0));
        let is_unassigned = own.is_none() && assigned.is_none();
        Membership {
            role,
            gpus: used.map(|used| used.gpus.clone()).unwrap_or_default(),
            instances: used
                .map(|used| used.instances.iter().copied().collect())
                .unwrap_or_default(),
            partitions: used
                .map(|used| used.partitions.iter().copied().collect())
                .unwrap_or_default(),
            gpu_source: used.map(|used| used.evidence),
            trainer: match role {
                Some(Role::Trainer) => Some(pid),
                _ => assigned.map(|(trainer, _)| *trainer),
            },
            attribution: assigned
                .map(|(_, evidence)| *evidence)
                .or(used.map(|used| used.evidence)),
            doubt: if self.is_pending_rank(pid) {
                Some("a rank that has no GPU context yet".to_owned())
            } else {
                let unassigned = self.unassigned.get(&pid).filter(|_| is_unassigned);
                unassigned.cloned().flatten()
            },
            task: task(&process.name, command(process)),
            ranks: self.ranks(process, assigned.map(|(trainer, _)| *trainer)),
        }
    }

    /// A worker has the ranks of its trainer. Of another process they are those of its environment.
    fn ranks(&self, process: &Process, trainer: Option<Pid>) -> Ranks {
        let known = self.ranks.get(&trainer.unwrap_or(process.pid)).copied();
        let environment = process.environment.as_ref();
        let own = || environment.map(|of| of.ranks).unwrap_or_default();
        known.unwrap_or_else(own)
    }

    /// The one place where roles are decided. A process between two trainers starts trainers, and its placement is not that
    /// of the upper one: a launcher in a notebook that holds a context.
    fn role(&self, process: &Process) -> Option<Role> {
        let pid = process.pid;
        if self.trainers.contains_key(&pid) {
            Some(Role::Trainer)
        } else if self.is_helper(process) {
            Some(Role::Helper)
        } else if self.launchers.contains(&pid) {
            Some(Role::Launcher)
        } else if self.pending.contains(&pid) {
            Some(Role::Helper)
        } else if self.trainer_of.contains_key(&pid) || self.unassigned.contains_key(&pid) {
            Some(Role::Worker)
        } else {
            None
        }
    }

    fn is_helper(&self, process: &Process) -> bool {
        let task = task(&process.name, command(process)).map(|task| task.kind);
        let is_launcher = self.launchers.contains(&process.pid);
        task == Some(TaskKind::Helper)
            || (task == Some(TaskKind::Daemon) && !is_launcher)
            || self.is_forkserver(process.pid)
            || serves_gpus(&process.name)
    }

    /// Children of a fork server have its command line too. So a process is the server if its parent has another command
    /// line. The parent of an orphan is unknown: an orphan is the server if it has such children.
    fn is_forkserver(&self, pid: Pid) -> bool {
        let Some(process) = self.by_pid.get(&pid) else {
            return false;
        };
        let own = command(process);
        if process.name == DATA_LOADER || !known_programs::is_forkserver(own) {
            return false;
        }
        let is_same = |pid: &Pid| self.by_pid.get(pid).is_some_and(|of| command(of) == own);
        if self.orphans.contains(&pid) {
            self.tree.children(pid).iter().any(is_same)
        } else {
            !is_same(&process.ppid)
        }
    }
}

fn command(process: &Process) -> &[String] {
    process.command.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::{ProcessReads, select};
    use crate::machine::Context;

    /// (PID, parent, `comm`, argv, path of its control group)
    type Line = (u32, u32, &'static str, &'static str, &'static str);

    /// A job in a terminal session, with an orphan, beside other processes of the machine.
    const MACHINE: &[Line] = &[
        (1, 0, "systemd", "/sbin/init", "/init"),
        (10, 1, "sshd", "sshd: ann", "/session"),
        (11, 10, "bash", "-bash", "/session"),
        (12, 11, "bash", "bash run.sh", "/session"),
        (13, 12, "pt_elastic", "torchrun train.py", "/session"),
        (100, 13, "python3", "python3 train.py", "/session"),
        (101, 100, "pt_data_worker", "python3 train.py", "/session"),
        (
            102,
            13,
            "python3",
            "python3 -c from\u{a0}multiprocessing.resource_tracker\u{a0}import",
            "/session",
        ),
        (103, 1, "pt_data_worker", "python3 train.py", "/session"),
        (200, 11, "vim", "vim train.py", "/session"),
        (201, 13, "tail", "tail -f log", "/session"),
        (202, 1, "cron", "cron -f", "/cron"),
    ];

    /// The same job in a container, where its first process is a launcher.
    const CONTAINER: &[Line] = &[
        (1, 0, "python3", "python3 launch.py", "/"),
        (100, 1, "python3", "python3 train.py", "/"),
    ];

    fn process(line: &Line) -> Process {
        let (pid, ppid, name, command, group) = *line;
        let words = command.split(' ');
        Process {
            ppid: Pid(ppid),
            name: name.into(),
            // A no-break space stands for a space in a word.
            command: Some(words.map(|word| word.replace('\u{a0}', " ")).collect()),
            groups: Some(
                [ControlGroup {
                    controllers: Vec::new(),
                    is_v2: true,
                    path: group.into(),
                }]
                .into(),
            ),
            ..Process::bare(Pid(pid))
        }
    }

    /// Reads from processes, each of which must be read once only.
    struct FakeReads<'a> {
        by_pid: ByPid<'a>,
        read: std::cell::RefCell<BTreeSet<Pid>>,
    }

    impl ProcessReads for FakeReads<'_> {
        fn name(&self, pid: Pid) -> &str {
            self.by_pid.name(pid)
        }

        fn session(&self, pid: Pid) -> Pid {
            self.by_pid[&pid].session
        }

        fn read_commands(&self, pids: BTreeSet<Pid>) -> BTreeMap<Pid, Vec<String>> {
            let is_new = |pid: &Pid| self.read.borrow_mut().insert(*pid);
            assert!(pids.iter().all(is_new), "read twice: {pids:?}");
            let commands = pids
                .into_iter()
                .map(|pid| (pid, command(self.by_pid[&pid]).to_vec()));
            commands.collect()
        }

        fn read_groups(&self, pid: Pid) -> Option<Vec<ControlGroup>> {
            self.by_pid.groups(pid)
        }
    }

    /// Attributes the selected processes, then all processes. Returns (PID, role, trainer) of the selected ones.
    fn attributed(lines: &[Line], named: &[Pid]) -> Vec<(u32, Option<Role>, Option<Pid>)> {
        let all: Vec<Process> = lines.iter().map(process).collect();
        let gpu = Gpu {
            contexts: Some(vec![Context {
                memory: None,
                pid: Pid(100),
                instance: None,
            }]),
            ..Gpu::default()
        };
        let tree = ProcessTree::of(&all);
        let reads = FakeReads {
            by_pid: all.iter().map(|of| (of.pid, of)).collect(),
            read: std::cell::RefCell::default(),
        };
        let selection = select(&tree, &reads, &[Pid(100)].into(), named);
        let is_selected = |process: &&Process| selection.pids.contains(&process.pid);
        let selected: Vec<Process> = all.iter().filter(is_selected).cloned().collect();
        let attribute = |tree: &ProcessTree, processes: &[Process]| {
            let memberships = attribute(tree, processes, &selection.orphans, named, &[&gpu]);
            let roles = memberships.into_iter();
            let roles = roles.map(|(pid, of)| (pid.0, of.role, of.trainer));
            roles.collect::<Vec<_>>()
        };
        let of_selected = attribute(&ProcessTree::of(&selected), &selected);
        let (same, others): (Vec<_>, Vec<_>) = attribute(&tree, &all)
            .into_iter()
            .partition(|(pid, ..)| selection.pids.contains(&Pid(*pid)));
        assert_eq!(same, of_selected, "roles do not depend on the selection");
        if named.is_empty() {
            assert!(
                others.iter().all(|(_, role, _)| role.is_none()),
                "{others:?}"
            );
        }
        of_selected
    }

    #[test]
    fn a_job_ends_below_the_session_whether_or_not_the_session_was_selected() {
        assert_eq!(
            attributed(MACHINE, &[]),
            [
                (12, Some(Role::Launcher), None),
                (13, Some(Role::Launcher), None),
                (100, Some(Role::Trainer), Some(Pid(100))),
                (101, Some(Role::Worker), Some(Pid(100))),
                (102, Some(Role::Helper), None),
                (103, Some(Role::Worker), None),
            ]
        );
    }

    #[test]
    fn the_first_process_of_a_container_may_be_a_launcher() {
        let launcher = (1, Some(Role::Launcher), None);
        let trainer = (100, Some(Role::Trainer), Some(Pid(100)));
        assert_eq!(attributed(CONTAINER, &[]), [launcher, trainer]);
        let mut on_host = CONTAINER.to_vec();
        on_host[1].4 = "/job";
        assert_eq!(attributed(&on_host, &[]), [trainer]);
    }

    #[test]
    fn a_named_process_belongs_to_the_job_and_its_ancestors_do_not() {
        let roles = attributed(MACHINE, &[Pid(11)]);
        let launchers = roles
            .iter()
            .filter(|(_, role, _)| *role == Some(Role::Launcher));
        let launchers: Vec<u32> = launchers.map(|(pid, ..)| *pid).collect();
        assert_eq!(launchers, [11, 12, 13]);
        let below_trainer = attributed(MACHINE, &[Pid(101)]);
        assert_eq!(
            below_trainer,
            [
                (100, Some(Role::Trainer), Some(Pid(100))),
                (101, Some(Role::Worker), Some(Pid(100))),
            ]
        );
    }
}
