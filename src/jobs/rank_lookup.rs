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
        let above = self.tree.nearest_above(|above| self.ranks.contains(&above));
        for pid in &self.ranks {
            if let Some(above) = above.get(pid) {
                below.entry(*above).or_default().push(*pid);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Environment;

    /// (PID, parent, the rank in SLURM_PROCID)
    type Line = (u32, u32, Option<u32>);

    fn ranks(lines: &[Line], trainers: &[u32]) -> Vec<Option<u32>> {
        let processes = lines.iter().map(|(pid, ppid, rank)| Process {
            ppid: Pid(*ppid),
            environment: Some(Environment {
                ranks: Ranks {
                    rank: rank.map(|number| Rank::by("SLURM_PROCID", number)),
                    local_rank: None,
                },
                ..Environment::default()
            }),
            ..Process::bare(Pid(*pid))
        });
        let processes: Vec<Process> = processes.collect();
        let by_pid = processes.iter().map(|of| (of.pid, of)).collect();
        let family = Family {
            tree: &ProcessTree::of(&processes),
            by_pid: &by_pid,
            ranks: trainers.iter().copied().map(Pid).collect(),
        };
        let found = family.lookup().into_values();
        found.map(|of| of.rank.map(|rank| rank.number)).collect()
    }

    #[test]
    fn a_rank_that_several_inherited_is_that_of_none() {
        let script = [(10, 1, Some(0)), (20, 10, Some(0)), (30, 10, Some(0))];
        assert_eq!(ranks(&script, &[20, 30]), [None, None]);
        assert_eq!(ranks(&script, &[20]), [Some(0)]);
        // The task itself holds a context, and has started another process that does.
        assert_eq!(ranks(&script, &[10, 20]), [Some(0), None]);
        let tasks = [(10, 1, None), (20, 10, Some(0)), (30, 10, Some(1))];
        assert_eq!(ranks(&tasks, &[20, 30]), [Some(0), Some(1)]);
    }

    #[test]
    fn a_cycle_ends() {
        let cycle = [(10, 20, Some(0)), (20, 10, Some(0)), (30, 20, Some(0))];
        assert_eq!(ranks(&cycle, &[10, 20, 30]).len(), 3);
        assert_eq!(ranks(&cycle, &[30]), [Some(0)]);
    }

    #[test]
    fn a_launcher_may_complete_the_paths_of_a_program() {
        let is_same = |one: &str, other: &str| {
            let words = |text: &str| text.split(' ').map(Into::into).collect::<Vec<String>>();
            is_same_program(&words(one), &words(other))
        };
        assert!(is_same(
            "python3 lit.py 160",
            "/opt/venv/bin/python3 /home/ann/lit.py 160"
        ));
        assert!(is_same("python3 -m lit --x", "/usr/bin/python3 -m lit --x"));
        assert!(!is_same("python3 lit.py 160", "python3 lit.py 80"));
        assert!(!is_same("python3 train.py", "python3 evaluate.py"));
        assert!(!is_same("python3 train.py", "orted --hnp --set-sid"));
    }
}
