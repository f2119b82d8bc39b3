//! The processes that the audit needs, out of all processes of a machine.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::{
    DATA_LOADER, ProcessTree, ProgramFacts, TaskKind, is_forkserver, is_job_boundary,
    is_worker_program, serves_gpus, task,
};
use crate::machine::ControlGroup;
use crate::units::Pid;

/// The facts that selection needs about any process. `stat` of each is known, all else is read when it is asked for.
pub(crate) trait ProcessReads {
    /// `comm`; empty for an unknown process.
    fn name(&self, pid: Pid) -> &str;
    /// The PID of the session's leader; 0 for an unknown process.
    fn session(&self, pid: Pid) -> Pid;
    /// argv of each; empty where it could not be read.
    fn read_commands(&self, pids: BTreeSet<Pid>) -> BTreeMap<Pid, Vec<String>>;
    /// `None` where they could not be read.
    fn read_groups(&self, pid: Pid) -> Option<Vec<ControlGroup>>;
}

/// The selected processes.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) pids: BTreeSet<Pid>,
    /// The selected processes that look like workers and whose parent ended, with their descendants.
    pub(crate) orphans: BTreeSet<Pid>,
}

/// Selects the processes that use a GPU with their descendants, their launchers and the launchers' helpers, and orphans. Or,
/// if processes are named, these with their descendants and the ancestors up to the trainer that they work for.
pub(crate) fn select(
    tree: &ProcessTree,
    reads: &impl ProcessReads,
    gpu_users: &BTreeSet<Pid>,
    named: &[Pid],
) -> Selection {
    let candidates = Candidates {
        tree,
        reads,
        commands: RefCell::default(),
    };
    match named {
        [] => candidates.of_gpu_users(gpu_users),
        named => Selection {
            pids: of_named(tree, named, gpu_users),
            orphans: BTreeSet::new(),
        },
    }
}

fn of_named(tree: &ProcessTree, named: &[Pid], gpu_users: &BTreeSet<Pid>) -> BTreeSet<Pid> {
    let mut pids = tree.with_descendants(named.iter().copied());
    for pid in named {
        let ancestors = tree.ancestors(*pid);
        if let Some(trainer) = ancestors.iter().position(|pid| gpu_users.contains(pid)) {
            pids.extend(&ancestors[..=trainer]);
        }
    }
    pids
}

struct Candidates<'a, R> {
    tree: &'a ProcessTree,
    reads: &'a R,
    /// All argv read so far: each is read once.
    commands: RefCell<BTreeMap<Pid, Vec<String>>>,
}

impl<R: ProcessReads> ProgramFacts for Candidates<'_, R> {
    fn name(&self, pid: Pid) -> &str {
        self.reads.name(pid)
    }

    fn command(&self, pid: Pid) -> Option<Vec<String>> {
        Some(self.argv(pid))
    }

    fn groups(&self, pid: Pid) -> Option<Vec<ControlGroup>> {
        self.reads.read_groups(pid)
    }
}

impl<R: ProcessReads> Candidates<'_, R> {
    fn of_gpu_users(&self, gpu_users: &BTreeSet<Pid>) -> Selection {
        if gpu_users.is_empty() {
            return Selection::default();
        }
        let mut pids = self.tree.with_descendants(gpu_users.iter().copied());
        let is_trainer = |pid: &Pid| !serves_gpus(self.name(*pid));
        let trainers = gpu_users.iter().copied().filter(is_trainer);
        // All at once: each read alone would wait for a stuck process alone.
        self.read_commands(self.tree.above(trainers.clone()));
        let launchers = self.tree.launchers(trainers, self);
        let children = launchers.iter().flat_map(|pid| self.tree.children(*pid));
        let children: BTreeSet<Pid> = children.copied().collect();
        self.read_commands(children.clone());
        pids.extend(children.iter().filter(|pid| self.is_helper(**pid)));
        pids.extend(&launchers);
        let orphans = self.orphans(&pids, &launchers, gpu_users);
        pids.extend(&orphans);
        Selection { pids, orphans }
    }

    fn is_helper(&self, pid: Pid) -> bool {
        let command = self.argv(pid);
        let task = task(self.name(pid), &command);
        task.is_some_and(|task| task.kind != TaskKind::Work) || is_forkserver(&command)
    }

    /// Processes that lost their parent and look like a worker, or like a fork of a trainer in its own session. A launcher
    /// may have adopted workers too, but it also starts other processes: there, only the name of a data loader counts.
    fn orphans(
        &self,
        selected: &BTreeSet<Pid>,
        launchers: &BTreeSet<Pid>,
        gpu_users: &BTreeSet<Pid>,
    ) -> BTreeSet<Pid> {
        self.read_commands(gpu_users.clone());
        let known_users = gpu_users.iter().filter(|pid| self.tree.contains(**pid));
        let programs: BTreeSet<_> = known_users.map(|pid| self.program(*pid)).collect();
        let others = self.tree.pairs().filter(|(pid, _)| !selected.contains(pid));
        let (below_launchers, others): (Vec<_>, Vec<_>) =
            others.partition(|(_, parent)| launchers.contains(parent));
        let adopters = self.adopters(others.iter().map(|(_, parent)| *parent).collect());
        let adopted = others
            .iter()
            .filter(|(_, parent)| adopters.contains(parent));
        let adopted: BTreeSet<Pid> = adopted.map(|(pid, _)| *pid).collect();
        self.read_commands(adopted.clone());
        let is_worker = |pid: &Pid| {
            let program = self.program(*pid);
            is_worker_program(self.name(*pid), &program.1)
                || (program.0 != Pid(0) && programs.contains(&program))
        };
        let below_launchers = below_launchers.into_iter().map(|(pid, _)| pid);
        let data_loaders = below_launchers.filter(|pid| self.name(*pid) == DATA_LOADER);
        let orphans = adopted
            .iter()
            .copied()
            .filter(is_worker)
            .chain(data_loaders);
        let mut orphans = self.tree.with_descendants(orphans);
        orphans.retain(|pid| !selected.contains(pid));
        orphans
    }

    /// Which of these adopt processes: PID 1, a parent outside of this PID namespace, and what ends a job upwards.
    fn adopters(&self, mut parents: BTreeSet<Pid>) -> BTreeSet<Pid> {
        self.read_commands(parents.clone());
        parents.retain(|pid| {
            let is_boundary = || is_job_boundary(self.name(*pid), Some(&self.argv(*pid)));
            *pid == Pid(1) || !self.tree.contains(*pid) || is_boundary()
        });
        parents
    }

    /// Session and argv: a fork of a process has both in common with it.
    fn program(&self, pid: Pid) -> (Pid, Vec<String>) {
        (self.reads.session(pid), self.argv(pid))
    }

    fn argv(&self, pid: Pid) -> Vec<String> {
        self.read_commands(BTreeSet::from([pid]));
        let commands = self.commands.borrow();
        commands.get(&pid).cloned().unwrap_or_default()
    }

    fn read_commands(&self, mut pids: BTreeSet<Pid>) {
        let mut commands = self.commands.borrow_mut();
        pids.retain(|pid| self.tree.contains(*pid) && !commands.contains_key(pid));
        if !pids.is_empty() {
            commands.extend(self.reads.read_commands(pids));
        }
    }
}
