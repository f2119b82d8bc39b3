//! The ranks of the trainers of a machine: what their own variables say, and what follows from their relatives.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::{ProcessTree, is_worker_program};
use crate::machine::{Process, Rank, Ranks};
use crate::units::Pid;

/// The processes of a machine and their relations.
pub(crate) struct Family<'a> {
    pub(crate) tree: &'a ProcessTree,
    pub(crate) by_pid: &'a BTreeMap<Pid, &'a Process>,
    /// Trainers, and ranks that will become trainers.
    pub(crate) ranks: BTreeSet<Pid>,
}

impl Family<'_> {
    /// The ranks of all [`Self::ranks`].
    pub(crate) fn lookup(&self) -> BTreeMap<Pid, Ranks> {
        let mut holders: BTreeMap<Pid, usize> = BTreeMap::new();
        for pid in &self.ranks {
            *holders.entry(self.holder(*pid)).or_default() += 1;
        }
        let own = self.ranks.iter().map(|pid| {
            let is_inherited = holders
                .get(&self.holder(*pid))
                .is_some_and(|ranks| *ranks > 1);
            let ranks = self.own(*pid).filter(|_| !is_inherited);
            (*pid, ranks.unwrap_or_default())
        });
        let mut found: BTreeMap<Pid, Ranks> = own.collect();
        for pid in &self.ranks {
            if found.get(pid) == Some(&Ranks::default()) {
                let ranks = self
                    .of_children(*pid)
                    .or_else(|| self.by_elimination(*pid, &found));
                found.insert(*pid, ranks.unwrap_or_default());
            }
        }
        found
    }

    fn own(&self, pid: Pid) -> Option<Ranks> {
        let environment = self.by_pid.get(&pid)?.environment.as_ref()?;
        Some(environment.ranks)
    }

    /// The topmost ancestor that has the same variables: the process that the launcher has started. If it has started
    /// several ranks itself, its variables are not theirs: a batch script, and all below it, has SLURM_PROCID=0.
    fn holder(&self, pid: Pid) -> Pid {
        let own = self.own(pid);
        let ancestors = self.tree.ancestors(pid).into_iter();
        let holders = ancestors.take_while(|above| own.is_some() && self.own(*above) == own);
        holders.last().unwrap_or(pid)
    }

    /// Ranks that a trainer has set itself: Python's spawned processes have the environment that it had then. Only
    /// PyTorch's variables: a library of MPI may set its own ones, for a job of one process.
    fn of_children(&self, pid: Pid) -> Option<Ranks> {
        /// The source of such ranks.
        const WORKERS: &str = "workers";
        let children = self.tree.children(pid).iter();
        let spawned = children.filter(|child| {
            let process = self.by_pid.get(child);
            let is_spawned = process.is_some_and(|of| is_worker_program(&of.name, command(of)));
            is_spawned && !self.ranks.contains(child)
        });
        let ranks = spawned.filter_map(|child| self.own(*child));
        // A forked process has the variables that the trainer was started with.
        let ranks: BTreeSet<Ranks> = ranks.filter(|of| *of != Ranks::default()).collect();
        let ranks = ranks.first().filter(|_| ranks.len() == 1)?;
        let is_of_torch = |rank: &Rank| ["RANK", "LOCAL_RANK"].contains(&rank.source);
        let by_workers = |rank: Rank| is_of_torch(&rank).then(|| Rank::by(WORKERS, rank.number));
        let ranks = Ranks {
            rank: ranks.rank.and_then(by_workers),
            local_rank: ranks.local_rank.and_then(by_workers),
        };
        (ranks != Ranks::default()).then_some(ranks)
    }

    /// Lightning starts the ranks from 1 on as children of rank 0, which has no variables.
    fn by_elimination(&self, pid: Pid, found: &BTreeMap<Pid, Ranks>) -> Option<Ranks> {
        let below = self
            .ranks
            .iter()
            .filter(|of| self.rank_above(**of) == Some(pid));
        let numbers = below.map(|of| Some(found.get(of)?.local_rank?.number));
        let mut numbers: Vec<u32> = numbers.collect::<Option<_>>()?;
        numbers.sort_unstable();
        let is_rest = !numbers.is_empty() && (1..).zip(&numbers).all(|(at, number)| at == *number);
        is_rest.then(|| Ranks {
            rank: None,
            local_rank: Some(Rank::by(Rank::ELIMINATION, 0)),
        })
    }

    /// The nearest rank above this one.
    fn rank_above(&self, pid: Pid) -> Option<Pid> {
        let mut ancestors = self.tree.ancestors(pid).into_iter();
        ancestors.find(|above| self.ranks.contains(above))
    }
}

/// Whether two command lines start the same program with the same arguments. A launcher may complete the paths of
/// interpreter and script.
pub(crate) fn is_same_program(one: &[String], other: &[String]) -> bool {
    /// The interpreter and its script.
    const PATHS: usize = 2;
    let ending = |word: &String| word.rsplit('/').next().map(str::to_owned);
    let is_same = |(at, (one, other)): (usize, (&String, &String))| {
        one == other || (at < PATHS && ending(one) == ending(other)) || at == 0
    };
    let mut words = one.iter().zip(other).enumerate();
    one.len() == other.len() && !one.is_empty() && words.all(is_same)
}

fn command(process: &Process) -> &[String] {
    process.command.as_deref().unwrap_or_default()
}
