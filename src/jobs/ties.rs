//! The trainer of an orphaned worker, by what both have in common. The worker's parent ended, and an init adopted it.

mod oldest;

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::ties::oldest::Oldest;
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

/// Of the trainers that a clue points to, this many are looked at. A clue that points to more of them decides nothing, and any user
/// can start thousands of processes in one session.
const MOST_COMPARED: usize = 256;

/// The trainers of a machine, by what they can share with a worker. They are numbered in their order.
#[derive(Debug, Default)]
pub(crate) struct Trainers<'a> {
    trainers: Vec<&'a Process>,
    by_pipe: BTreeMap<u64, Vec<usize>>,
    by_rank: BTreeMap<RankOfJob<'a>, Vec<usize>>,
    by_session: BTreeMap<(Pid, Vec<&'a str>), Vec<usize>>,
    /// By the PID in their own namespace, which names the files that they make.
    by_own_pid: BTreeMap<u32, Vec<usize>>,
    /// By the makers of files that they map.
    by_maker: BTreeMap<u32, Vec<usize>>,
    oldest: Oldest,
    oldest_without_pipes: Oldest,
    oldest_by_pipe: BTreeMap<u64, Oldest>,
    #[cfg(test)]
    compared: std::cell::Cell<usize>,
}

/// A kind of evidence: its name in messages, and the trainers that it points to.
type Clue = (
    Evidence,
    &'static str,
    for<'t, 'a> fn(&'t Trainers<'a>, &'a Process) -> Vec<&'t [usize]>,
);

/// The strongest first. Workers made by fork, spawn or the fork server all have pipes of their trainer open.
const CLUES: &[Clue] = &[
    (Evidence::Pipe, "its pipes", |trainers, worker| {
        trainers.with_pipes_of(worker)
    }),
    (Evidence::Environ, "its environment", |trainers, worker| {
        trainers.of_same_rank(worker)
    }),
    (Evidence::Session, "its session", |trainers, worker| {
        trainers.of_same_session(worker)
    }),
    (Evidence::Shm, "its shared memory", |trainers, worker| {
        trainers.with_memory_of(worker)
    }),
];

/// What a clue points to.
struct Pointed<'t> {
    evidence: Evidence,
    what: &'static str,
    /// The candidates among the first ones.
    trainers: BTreeSet<usize>,
    /// The others, which were not looked at.
    rest: Vec<&'t [usize]>,
}

impl Pointed<'_> {
    /// The only trainer.
    fn only(&self) -> Option<usize> {
        let is_only = self.trainers.len() == 1 && self.rest.is_empty();
        self.trainers.first().copied().filter(|_| is_only)
    }

    fn is_empty(&self) -> bool {
        self.trainers.is_empty() && self.rest.is_empty()
    }

    fn has(&self, trainer: usize) -> bool {
        let is_in_rest = |rest: &&[usize]| rest.binary_search(&trainer).is_ok();
        self.trainers.contains(&trainer) || self.rest.iter().any(is_in_rest)
    }
}

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

/// The PID in the process's own namespace, by which PyTorch names the files of its shared memory.
fn own_pid(process: &Process) -> u32 {
    process.inner_pids.last().copied().unwrap_or(process.pid.0)
}

/// The makers of the pieces of PyTorch's shared memory that a process maps.
fn torch_makers(process: &Process) -> impl Iterator<Item = u32> {
    let memory = process.memory.iter();
    memory.flat_map(|memory| memory.torch_makers.iter().copied())
}

/// Whether both can be of one user, and the worker is not older.
fn can_belong_to(worker: &Process, trainer: &Process) -> bool {
    let is_of_other_user = matches!((trainer.uid, worker.uid), (Some(of), Some(own)) if of != own);
    let shares_pipe = || match (&trainer.pipes, &worker.pipes) {
        (Some(trainers), Some(workers)) => !trainers.is_disjoint(workers),
        _ => true,
    };
    !is_of_other_user && trainer.start_time_ticks <= worker.start_time_ticks && shares_pipe()
}

impl<'a> Trainers<'a> {
    pub(crate) fn new(trainers: impl IntoIterator<Item = &'a Process>) -> Self {
        let mut all = Self::default();
        for (place, trainer) in trainers.into_iter().enumerate() {
            all.trainers.push(trainer);
            all.oldest.add(trainer);
            match &trainer.pipes {
                None => all.oldest_without_pipes.add(trainer),
                Some(pipes) => {
                    for inode in pipes {
                        all.by_pipe.entry(*inode).or_default().push(place);
                        all.oldest_by_pipe.entry(*inode).or_default().add(trainer);
                    }
                }
            }
            if let Some(rank) = rank_of_job(trainer) {
                all.by_rank.entry(rank).or_default().push(place);
            }
            if let Some(session) = session(trainer) {
                all.by_session.entry(session).or_default().push(place);
            }
            all.by_own_pid
                .entry(own_pid(trainer))
                .or_default()
                .push(place);
            for maker in torch_makers(trainer) {
                all.by_maker.entry(maker).or_default().push(place);
            }
        }
        all
    }

    /// By pipes that only one trainer has open: ranks also inherit common pipes from their launcher.
    fn with_pipes_of(&self, worker: &'a Process) -> Vec<&[usize]> {
        let pipes = worker.pipes.iter().flatten();
        let owners = pipes.filter_map(|inode| self.by_pipe.get(inode));
        owners
            .map(Vec::as_slice)
            .filter(|owners| owners.len() == 1)
            .collect()
    }

    fn of_same_rank(&self, worker: &'a Process) -> Vec<&[usize]> {
        let same = rank_of_job(worker).and_then(|rank| self.by_rank.get(&rank));
        same.into_iter().map(Vec::as_slice).collect()
    }

    fn of_same_session(&self, worker: &'a Process) -> Vec<&[usize]> {
        let same = session(worker).and_then(|session| self.by_session.get(&session));
        same.into_iter().map(Vec::as_slice).collect()
    }

    /// By PyTorch's shared memory that either made and the other maps.
    fn with_memory_of(&self, worker: &'a Process) -> Vec<&[usize]> {
        let makers = torch_makers(worker).filter_map(|maker| self.by_own_pid.get(&maker));
        let mappers = self.by_maker.get(&own_pid(worker));
        makers.chain(mappers).map(Vec::as_slice).collect()
    }

    /// Whether there is a trainer that the worker can belong to: of the same user, older, and with a pipe in common where pipes
    /// are known. A worker of a job that has ended has rank and session in common with the next job. And any user can claim a
    /// rank, or name a file as if another process had made it.
    fn has_candidate(&self, worker: &Process) -> bool {
        let Some(pipes) = &worker.pipes else {
            return self.oldest.can_have(worker);
        };
        let mut shared = pipes
            .iter()
            .filter_map(|inode| self.oldest_by_pipe.get(inode));
        self.oldest_without_pipes.can_have(worker) || shared.any(|of| of.can_have(worker))
    }

    fn pointed<'t>(&'t self, worker: &'a Process, (evidence, what, find): &Clue) -> Pointed<'t> {
        let mut pointed = Pointed {
            evidence: *evidence,
            what,
            trainers: BTreeSet::new(),
            rest: Vec::new(),
        };
        for places in find(self, worker) {
            let (first, rest) = places.split_at(places.len().min(MOST_COMPARED));
            pointed.trainers.extend(
                first
                    .iter()
                    .filter(|place| self.is_candidate(worker, **place)),
            );
            pointed
                .rest
                .extend(Some(rest).filter(|rest| !rest.is_empty()));
        }
        pointed
    }

    fn is_candidate(&self, worker: &Process, place: usize) -> bool {
        #[cfg(test)]
        self.compared.set(self.compared.get() + 1);
        self.trainers
            .get(place)
            .is_some_and(|trainer| can_belong_to(worker, trainer))
    }

    /// The trainer to which the strongest unambiguous clue points, if no other clue contradicts it.
    pub(crate) fn of(&self, worker: &'a Process) -> TrainerMatch {
        let clues = CLUES.iter().map(|clue| self.pointed(worker, clue));
        let clues: Vec<Pointed> = clues.filter(|clue| !clue.is_empty()).collect();
        let unambiguous = clues
            .iter()
            .find_map(|clue| Some((clue.only()?, clue.evidence)));
        let agreed = unambiguous.filter(|(trainer, _)| clues.iter().all(|clue| clue.has(*trainer)));
        let agreed =
            agreed.and_then(|(place, evidence)| Some((self.trainers.get(place)?, evidence)));
        match agreed {
            Some((trainer, evidence)) => TrainerMatch::One(trainer.pid, evidence),
            None if !self.has_candidate(worker) => TrainerMatch::None,
            None if clues.is_empty() => {
                TrainerMatch::Unclear("no evidence that could be read points to a trainer".into())
            }
            None => TrainerMatch::Unclear(format!(
                "the evidence does not point to one trainer ({})",
                clues
                    .iter()
                    .map(|clue| self.described(clue))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
        }
    }

    /// `its pipes: 1-2`
    fn described(&self, clue: &Pointed) -> String {
        let trainers = clue
            .trainers
            .iter()
            .filter_map(|place| self.trainers.get(*place));
        let pids: BTreeSet<u32> = trainers.map(|trainer| trainer.pid.0).collect();
        let others = match (clue.rest.is_empty(), pids.is_empty()) {
            (true, _) => "",
            (false, true) => "many",
            (false, false) => " and others",
        };
        format!("{}: {}{others}", clue.what, ranges(pids))
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

    /// All trainers and workers of one user are in one session, and all share a pipe of their launcher.
    #[test]
    fn the_work_is_linear() {
        let compared = |count: u32| {
            let all: Vec<Process> = (1..=count)
                .map(|pid| session(process(pid, &[7, u64::from(1000 + pid)]), 5))
                .collect();
            let trainers = Trainers::new(&all);
            for pid in 1..=count {
                let worker = session(process(100_000 + pid, &[7, u64::from(1000 + pid)]), 5);
                let expected = TrainerMatch::One(Pid(pid), Evidence::Pipe);
                assert_eq!(trainers.of(&worker), expected);
            }
            trainers.compared.get()
        };
        let (some, many) = (compared(1000), compared(4000));
        assert!(many <= 4 * some, "{some} and {many}");
    }

    #[test]
    fn a_session_of_many_trainers_decides_nothing() {
        let all: Vec<Process> = (1..=1000)
            .map(|pid| session(without_pipes(pid), 5))
            .collect();
        let why = "the evidence does not point to one trainer (its session: 1-256 and others)";
        assert_trainer(
            &session(without_pipes(9000), 5),
            &all,
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
