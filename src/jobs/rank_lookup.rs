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
        let holders = self.holders();
        let mut sharers: BTreeMap<Pid, usize> = BTreeMap::new();
        for pid in &self.ranks {
            *sharers.entry(holders[pid]).or_default() += 1;
        }
        let own = self.ranks.iter().map(|pid| {
            let holder = holders[pid];
            let ranks = self.own(*pid).unwrap_or_default();
            let is_of_holder =
                self.ranks.contains(&holder) && (*pid == holder || is_of_torch(&ranks));
            let is_own = is_of_holder || sharers[&holder] == 1;
            (*pid, if is_own { ranks } else { Ranks::default() })
        });
        let mut found: BTreeMap<Pid, Ranks> = own.collect();
        let below = self.ranks_below();
        for pid in &self.ranks {
            if found[pid] == Ranks::default() {
                let below = below.get(pid).map(Vec::as_slice).unwrap_or_default();
                let ranks = self.of_children(*pid);
                let ranks = ranks.or_else(|| by_elimination(below, &found));
                found.insert(*pid, ranks.unwrap_or_default());
            }
        }
        found
    }

    fn own(&self, pid: Pid) -> Option<Ranks> {
        let environment = self.by_pid.get(&pid)?.environment.as_ref()?;
        Some(environment.ranks)
    }

    /// Of each rank the topmost ancestor that has the same variables: the process that the launcher has started. If it has
    /// started several ranks itself, its variables are not theirs: a batch script, and all below it, has SLURM_PROCID=0.
    fn holders(&self) -> BTreeMap<Pid, Pid> {
        let mut holders: BTreeMap<Pid, Pid> = BTreeMap::new();
        for rank in &self.ranks {
            let own = self.own(*rank).filter(|own| *own != Ranks::default());
            let mut path = BTreeSet::from([*rank]);
            let mut top = *rank;
            while own.is_some() && !holders.contains_key(&top) {
                // A recorded tree may contain a cycle.
                let parent = self
                    .tree
                    .parent(top)
                    .filter(|parent| self.own(*parent) == own);
                let Some(parent) = parent.filter(|parent| path.insert(*parent)) else {
                    break;
                };
                top = parent;
            }
            let top = holders.get(&top).copied().unwrap_or(top);
            holders.extend(path.into_iter().map(|pid| (pid, top)));
        }
        holders
    }

    /// The ranks by the nearest rank above them.
    fn ranks_below(&self) -> BTreeMap<Pid, Vec<Pid>> {
        let mut below: BTreeMap<Pid, Vec<Pid>> = BTreeMap::new();
        for pid in &self.ranks {
            let above = self
                .tree
                .nearest_above(*pid, |above| self.ranks.contains(&above));
            if let Some(above) = above {
                below.entry(above).or_default().push(*pid);
            }
        }
        below
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
        let by_workers = |rank: Rank| Rank::by(WORKERS, rank.number);
        is_of_torch(ranks).then(|| Ranks {
            rank: ranks.rank.map(by_workers),
            local_rank: ranks.local_rank.map(by_workers),
        })
    }
}

/// Whether the variables are PyTorch's.
fn is_of_torch(ranks: &Ranks) -> bool {
    let source = ranks.rank.or(ranks.local_rank).map(|rank| rank.source);
    source.is_some_and(|source| ["RANK", "LOCAL_RANK"].contains(&source))
}

/// Lightning starts the ranks from 1 on as children of rank 0, which has no variables.
fn by_elimination(below: &[Pid], found: &BTreeMap<Pid, Ranks>) -> Option<Ranks> {
    let numbers = below
        .iter()
        .map(|of| Some(found.get(of)?.local_rank?.number));
    let mut numbers: Vec<u32> = numbers.collect::<Option<_>>()?;
    numbers.sort_unstable();
    let is_rest = !numbers.is_empty() && (1..).zip(&numbers).all(|(at, number)| at == *number);
    is_rest.then(|| Ranks {
        rank: None,
        local_rank: Some(Rank::by(Rank::ELIMINATION, 0)),
    })
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
