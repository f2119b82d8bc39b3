//! The trainer of an orphaned worker, by what both have in common. The worker's parent ended, and an init adopted it.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{Process, RankOfJob};
use crate::units::{Pid, ranges};
use crate::words::Evidence;

/// The trainer that a worker belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TrainerMatch {
    /// This one, by this evidence.
    One(Pid, Evidence),
    /// There are candidates, and this is why none of them is chosen.
    Unclear(String),
    /// No trainer of this machine: the worker's job has ended.
    None,
}

/// The trainers of a machine, by what they can share with a worker.
#[derive(Debug)]
pub(crate) struct Trainers<'a> {
    trainers: Vec<&'a Process>,
    /// Pipes that only one trainer has open. Ranks also inherit common pipes from their launcher.
    pipes: BTreeMap<u64, Pid>,
}

/// A kind of evidence: its name in messages, and the trainers that it points to.
type Clue = (
    Evidence,
    &'static str,
    fn(&Trainers, &Process) -> BTreeSet<Pid>,
);

/// The strongest first. Workers made by fork, spawn or the fork server all have pipes of their trainer open.
const CLUES: &[Clue] = &[
    (Evidence::Pipe, "its pipes", |trainers, worker| {
        trainers.with_pipes_of(worker)
    }),
    (Evidence::Environ, "its environment", |trainers, worker| {
        trainers.with_same(worker, rank_of_job)
    }),
    (Evidence::Session, "its session", |trainers, worker| {
        trainers.with_same(worker, session)
    }),
    (Evidence::Shm, "its shared memory", |trainers, worker| {
        trainers
            .matching(|trainer| maps_memory_of(worker, trainer) || maps_memory_of(trainer, worker))
    }),
];

/// RANK with the job's name, port or number.
fn rank_of_job(process: &Process) -> Option<RankOfJob<'_>> {
    process.environment.as_ref()?.rank_of_job()
}

/// The session's leader, where it is visible, and the control groups.
fn session(process: &Process) -> Option<(Pid, Vec<&str>)> {
    let groups = process.groups.as_ref()?;
    let paths = groups.iter().map(|group| group.path.as_str()).collect();
    (process.session != Pid(0)).then_some((process.session, paths))
}

/// Whether a process maps PyTorch's shared memory that `maker` made. Files are named by the maker's own PID namespace.
fn maps_memory_of(process: &Process, maker: &Process) -> bool {
    let own_pid = maker.inner_pids.last().copied().unwrap_or(maker.pid.0);
    let memory = process.memory.as_ref();
    memory.is_some_and(|memory| memory.torch_makers.contains(&own_pid))
}

impl<'a> Trainers<'a> {
    pub(crate) fn new(trainers: impl IntoIterator<Item = &'a Process>) -> Self {
        let trainers: Vec<&Process> = trainers.into_iter().collect();
        let mut owners: BTreeMap<u64, Vec<Pid>> = BTreeMap::new();
        for trainer in &trainers {
            for inode in trainer.pipes.iter().flatten() {
                owners.entry(*inode).or_default().push(trainer.pid);
            }
        }
        let unique = owners.into_iter().filter(|(_, pids)| pids.len() == 1);
        Self {
            pipes: unique
                .filter_map(|(inode, pids)| Some((inode, *pids.first()?)))
                .collect(),
            trainers,
        }
    }

    fn matching(&self, matches: impl Fn(&Process) -> bool) -> BTreeSet<Pid> {
        let found = self.trainers.iter().filter(|trainer| matches(trainer));
        found.map(|trainer| trainer.pid).collect()
    }

    fn with_pipes_of(&self, worker: &Process) -> BTreeSet<Pid> {
        let pipes = worker.pipes.iter().flatten();
        let owners = pipes.filter_map(|inode| self.pipes.get(inode));
        owners.copied().collect()
    }

    /// The trainers with the same value as the worker, if the worker has one.
    fn with_same<'w, T: PartialEq>(
        &'w self,
        worker: &'w Process,
        value: fn(&'w Process) -> Option<T>,
    ) -> BTreeSet<Pid> {
        let wanted = value(worker);
        let same = self
            .trainers
            .iter()
            .filter(|trainer| wanted.is_some() && value(trainer) == wanted);
        same.map(|trainer| trainer.pid).collect()
    }

    /// The trainers that the worker can belong to: of the same user, older, and with a pipe in common where pipes are
    /// known. A worker of a job that has ended has rank and session in common with the next job. And any user can claim a
    /// rank, or name a file as if another process had made it.
    fn candidates(&self, worker: &Process) -> BTreeSet<Pid> {
        self.matching(|trainer| {
            let shares_pipe = match (&trainer.pipes, &worker.pipes) {
                (Some(trainers), Some(workers)) => !trainers.is_disjoint(workers),
                _ => true,
            };
            let is_of_other_user =
                matches!((trainer.uid, worker.uid), (Some(of), Some(own)) if of != own);
            shares_pipe && !is_of_other_user && trainer.start_time_ticks <= worker.start_time_ticks
        })
    }

    /// The trainer to which the strongest unambiguous clue points, if no other clue contradicts it.
    pub(crate) fn of(&self, worker: &Process) -> TrainerMatch {
        let candidates = self.candidates(worker);
        let clues = CLUES
            .iter()
            .map(|(evidence, what, find)| (*evidence, *what, &find(self, worker) & &candidates));
        let clues: Vec<_> = clues.filter(|(.., pids)| !pids.is_empty()).collect();
        let unambiguous = clues.iter().find(|(.., pids)| pids.len() == 1);
        let trainer = unambiguous.and_then(|(evidence, _, pids)| Some((*pids.first()?, *evidence)));
        match trainer {
            Some((trainer, evidence)) if clues.iter().all(|(.., pids)| pids.contains(&trainer)) => {
                TrainerMatch::One(trainer, evidence)
            }
            _ if candidates.is_empty() => TrainerMatch::None,
            _ if clues.is_empty() => {
                TrainerMatch::Unclear("no evidence that could be read points to a trainer".into())
            }
            _ => {
                let clues = clues.iter().map(|(_, what, pids)| {
                    format!("{what}: {}", ranges(pids.iter().map(|pid| pid.0)))
                });
                let clues: Vec<String> = clues.collect();
                TrainerMatch::Unclear(format!(
                    "the evidence does not point to one trainer ({})",
                    clues.join(", ")
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{ControlGroup, Environment, Memory, Rank, Ranks};

    fn process(pid: u32, pipes: &[u64]) -> Process {
        Process {
            pipes: Some(pipes.iter().copied().collect()),
            ..Process::bare(Pid(pid))
        }
    }

    fn rank(mut process: Process, rank: u32) -> Process {
        process.environment = Some(Environment {
            ranks: Ranks {
                rank: Some(Rank::by("RANK", rank)),
                ..Ranks::default()
            },
            master_port: Some(29500),
            ..Environment::default()
        });
        process
    }

    fn session(mut process: Process, session: u32) -> Process {
        process.session = Pid(session);
        process.groups = Some(
            [ControlGroup {
                controllers: Vec::new(),
                is_v2: true,
                path: "/job".into(),
            }]
            .into(),
        );
        process
    }

    fn maps(mut process: Process, maker: u32) -> Process {
        process.memory = Some(Memory {
            torch_makers: [maker].into(),
            ..Memory::default()
        });
        process
    }

    #[track_caller]
    fn assert_trainer(worker: &Process, trainers: &[Process], expected: TrainerMatch) {
        assert_eq!(Trainers::new(trainers).of(worker), expected);
    }

    /// A process whose open files are unknown.
    fn without_pipes(pid: u32) -> Process {
        Process::bare(Pid(pid))
    }

    #[test]
    fn a_pipe_of_only_one_trainer_identifies_it() {
        let trainers = [process(1, &[7, 10]), process(2, &[7, 20])];
        assert_trainer(
            &process(9, &[7, 20]),
            &trainers,
            TrainerMatch::One(Pid(2), Evidence::Pipe),
        );
        assert_trainer(&process(9, &[8]), &trainers, TrainerMatch::None);
        let why = "no evidence that could be read points to a trainer";
        assert_trainer(
            &process(9, &[7]),
            &trainers,
            TrainerMatch::Unclear(why.into()),
        );
    }

    #[test]
    fn the_rank_in_one_job_identifies_it() {
        let trainers = [rank(without_pipes(1), 0), rank(without_pipes(2), 1)];
        let worker = rank(without_pipes(9), 1);
        assert_trainer(
            &worker,
            &trainers,
            TrainerMatch::One(Pid(2), Evidence::Environ),
        );
        let mut other_job = worker;
        other_job.environment.as_mut().unwrap().master_port = Some(1);
        let why = "no evidence that could be read points to a trainer";
        assert_trainer(&other_job, &trainers, TrainerMatch::Unclear(why.into()));
    }

    #[test]
    fn the_session_identifies_it_if_each_trainer_has_its_own() {
        let trainers = [session(without_pipes(1), 1), session(without_pipes(2), 2)];
        assert_trainer(
            &session(without_pipes(9), 2),
            &trainers,
            TrainerMatch::One(Pid(2), Evidence::Session),
        );
    }

    /// All ranks of the job are in one session. Pipes identify the rank.
    #[test]
    fn weaker_evidence_may_be_less_exact() {
        let trainers = [session(process(1, &[10]), 5), session(process(2, &[20]), 5)];
        let worker = session(process(9, &[10]), 5);
        assert_trainer(
            &worker,
            &trainers,
            TrainerMatch::One(Pid(1), Evidence::Pipe),
        );
    }

    #[test]
    fn shared_memory_that_either_made_identifies_it() {
        let trainers = [maps(without_pipes(1), 9), without_pipes(2)];
        assert_trainer(
            &without_pipes(9),
            &trainers,
            TrainerMatch::One(Pid(1), Evidence::Shm),
        );
        assert_trainer(
            &maps(without_pipes(8), 2),
            &trainers,
            TrainerMatch::One(Pid(2), Evidence::Shm),
        );
    }

    #[test]
    fn conflicting_evidence_leaves_the_trainer_unknown() {
        let trainers = [rank(process(1, &[7, 10]), 0), rank(process(2, &[7, 20]), 1)];
        let why = "the evidence does not point to one trainer (its pipes: 1, its environment: 2)";
        assert_trainer(
            &rank(process(9, &[10, 7]), 1),
            &trainers,
            TrainerMatch::Unclear(why.into()),
        );
        let why = "the evidence does not point to one trainer (its pipes: 1-2)";
        assert_trainer(
            &process(9, &[10, 20]),
            &trainers,
            TrainerMatch::Unclear(why.into()),
        );
    }

    #[test]
    fn a_process_of_another_user_is_not_a_worker() {
        let of_user = |process: Process, uid| Process {
            uid: Some(uid),
            ..process
        };
        let trainers = [of_user(rank(without_pipes(1), 0), 1000)];
        let claims = maps(rank(without_pipes(9), 0), 1);
        assert_trainer(
            &of_user(claims.clone(), 1001),
            &trainers,
            TrainerMatch::None,
        );
        let own = TrainerMatch::One(Pid(1), Evidence::Environ);
        assert_trainer(&of_user(claims.clone(), 1000), &trainers, own.clone());
        assert_trainer(&claims, &trainers, own);
    }

    /// Observed when a job was killed and started again: it had the same session, ranks and port.
    #[test]
    fn a_worker_of_an_ended_job_has_no_trainer() {
        let trainers = [rank(session(process(1, &[10]), 5), 0)];
        assert_trainer(
            &rank(session(process(9, &[99]), 5), 0),
            &trainers,
            TrainerMatch::None,
        );
        let mut younger = trainers;
        younger[0].start_time_ticks = 7;
        assert_trainer(
            &rank(session(without_pipes(9), 5), 0),
            &younger,
            TrainerMatch::None,
        );
    }
}
