//! What ties a worker to its trainer where no parent does: its parent ended, and an init has adopted it.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::attribution::Attribution;
use crate::machine::process::Process;
use crate::units::{Pid, ranges};

/// Whose a worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tied {
    /// One trainer's, and by what that is known.
    To(Pid, Attribution),
    /// Somebody's, and it cannot be told whose: why.
    Torn(String),
    /// No trainer's of this machine: it shares nothing with any.
    ToNobody,
}

/// The trainers, by what they can share with a worker.
#[derive(Debug)]
pub struct Trainers<'a> {
    trainers: Vec<&'a Process>,
    /// Pipes that one trainer alone holds: ranks inherit some from their launcher, which tell nothing.
    pipes: BTreeMap<u64, Pid>,
}

/// A kind of evidence: the trainers that it names.
type Evidence = (
    Attribution,
    &'static str,
    fn(&Trainers, &Process) -> BTreeSet<Pid>,
);

/// The hardest first. Fork, spawn and the fork server all leave a worker with pipes of its trainer's.
const EVIDENCE: &[Evidence] = &[
    (Attribution::Pipe, "its pipes", |trainers, worker| {
        let pipes = worker.pipes.iter().flatten();
        pipes
            .filter_map(|inode| trainers.pipes.get(inode))
            .copied()
            .collect()
    }),
    (
        Attribution::Environ,
        "its environment",
        |trainers, worker| {
            let rank = |process: &Process| process.environment.as_ref()?.rank_of_job().map(own);
            trainers.like(worker, rank)
        },
    ),
    (Attribution::Session, "its session", |trainers, worker| {
        let session = |process: &Process| {
            let groups = process.groups.as_ref()?.iter();
            let paths: Vec<String> = groups.map(|group| group.path.clone()).collect();
            (process.session != Pid(0)).then_some((process.session, paths))
        };
        trainers.like(worker, session)
    }),
    (Attribution::Shm, "its shared memory", |trainers, worker| {
        let made = |process: &Process, by: &Process| {
            let makers = process.memory.as_ref().map(|memory| &memory.torch_makers);
            let own = by.inner_pids.last().copied().unwrap_or(by.pid.0);
            makers.is_some_and(|makers| makers.contains(&own))
        };
        let trainers = trainers.trainers.iter();
        let shares = trainers.filter(|trainer| made(worker, trainer) || made(trainer, worker));
        shares.map(|trainer| trainer.pid).collect()
    }),
];

fn own((rank, run, port): (u32, Option<&str>, Option<u32>)) -> (u32, Option<String>, Option<u32>) {
    (rank, run.map(str::to_owned), port)
}

impl<'a> Trainers<'a> {
    /// Of one machine.
    pub fn new(trainers: impl IntoIterator<Item = &'a Process>) -> Self {
        let trainers: Vec<&Process> = trainers.into_iter().collect();
        let mut holders: BTreeMap<u64, Vec<Pid>> = BTreeMap::new();
        for trainer in &trainers {
            for inode in trainer.pipes.iter().flatten() {
                holders.entry(*inode).or_default().push(trainer.pid);
            }
        }
        let alone = holders
            .into_iter()
            .filter_map(|(inode, pids)| match pids.as_slice() {
                [one] => Some((inode, *one)),
                _ => None,
            });
        Self {
            pipes: alone.collect(),
            trainers,
        }
    }

    /// The trainers in which something is as it is in the worker, where the worker has it.
    fn like<T: PartialEq>(
        &self,
        worker: &Process,
        of: impl Fn(&Process) -> Option<T>,
    ) -> BTreeSet<Pid> {
        let Some(wanted) = of(worker) else {
            return BTreeSet::new();
        };
        let alike = self
            .trainers
            .iter()
            .filter(|trainer| of(trainer).as_ref() == Some(&wanted));
        alike.map(|trainer| trainer.pid).collect()
    }

    /// The trainers that a worker may have: those of its user that were there when it began, and share a pipe with it as far
    /// as is known. A dead job's worker has its rank and its session in common with the next job. Anybody can claim another
    /// one's rank, and name a file as if that one had made it.
    fn possible(&self, worker: &Process) -> BTreeSet<Pid> {
        let is_possible = |trainer: &&&Process| {
            let shares = match (&trainer.pipes, &worker.pipes) {
                (Some(its), Some(own)) => !its.is_disjoint(own),
                _ => true,
            };
            let is_anothers =
                matches!((trainer.uid, worker.uid), (Some(its), Some(own)) if its != own);
            shares && !is_anothers && trainer.start_time_ticks <= worker.start_time_ticks
        };
        let trainers = self.trainers.iter().filter(is_possible);
        trainers.map(|trainer| trainer.pid).collect()
    }

    /// Whose a worker is: the hardest evidence that names one trainer. Where another kind names others, nobody knows.
    pub fn of(&self, worker: &Process) -> Tied {
        let possible = self.possible(worker);
        let among = |named: BTreeSet<Pid>| &named & &possible;
        let told: Vec<(Attribution, &str, BTreeSet<Pid>)> = EVIDENCE
            .iter()
            .map(|(by, what, ask)| (*by, *what, among(ask(self, worker))))
            .filter(|(.., named)| !named.is_empty())
            .collect();
        let clear = told.iter().find_map(|(by, _, named)| match named.len() {
            1 => Some((*named.first()?, *by)),
            _ => None,
        });
        let words = || {
            let words = told.iter().map(|(_, what, named)| {
                format!("{what} {}", ranges(named.iter().map(|pid| pid.0)))
            });
            words.collect::<Vec<_>>().join(", ")
        };
        match clear {
            Some((trainer, by)) if told.iter().all(|(.., named)| named.contains(&trainer)) => {
                Tied::To(trainer, by)
            }
            _ if !told.is_empty() => {
                Tied::Torn(format!("nothing names one trainer alone: {}", words()))
            }
            _ if !possible.is_empty() => {
                Tied::Torn("nothing that could be read ties it to one".into())
            }
            _ => Tied::ToNobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::environment::Environment;
    use crate::machine::memory::Memory;
    use crate::machine::process::ControlGroup;

    fn process(pid: u32, pipes: &[u64]) -> Process {
        Process {
            pipes: Some(pipes.iter().copied().collect()),
            ..Process::bare(Pid(pid))
        }
    }

    fn rank(mut process: Process, rank: u32) -> Process {
        process.environment = Some(Environment {
            rank: Some(rank),
            master_port: Some(29500),
            ..Environment::default()
        });
        process
    }

    fn session(mut process: Process, session: u32) -> Process {
        process.session = Pid(session);
        process.groups = Some(vec![ControlGroup {
            controllers: Vec::new(),
            is_v2: true,
            path: "/job".into(),
        }]);
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
    fn tied(worker: &Process, trainers: &[Process], expected: Tied) {
        assert_eq!(Trainers::new(trainers).of(worker), expected);
    }

    /// Of which no open files could be read.
    fn closed(pid: u32) -> Process {
        Process::bare(Pid(pid))
    }

    #[test]
    fn by_a_pipe_that_one_trainer_alone_holds() {
        let trainers = [process(1, &[7, 10]), process(2, &[7, 20])];
        tied(
            &process(9, &[7, 20]),
            &trainers,
            Tied::To(Pid(2), Attribution::Pipe),
        );
        tied(&process(9, &[8]), &trainers, Tied::ToNobody);
        let why = "nothing that could be read ties it to one";
        tied(&process(9, &[7]), &trainers, Tied::Torn(why.into()));
    }

    #[test]
    fn by_its_rank_in_one_job() {
        let trainers = [rank(closed(1), 0), rank(closed(2), 1)];
        let worker = rank(closed(9), 1);
        tied(&worker, &trainers, Tied::To(Pid(2), Attribution::Environ));
        let mut other_job = worker;
        other_job.environment.as_mut().unwrap().master_port = Some(1);
        let why = "nothing that could be read ties it to one";
        tied(&other_job, &trainers, Tied::Torn(why.into()));
    }

    #[test]
    fn by_its_session_where_each_trainer_has_one() {
        let trainers = [session(closed(1), 1), session(closed(2), 2)];
        tied(
            &session(closed(9), 2),
            &trainers,
            Tied::To(Pid(2), Attribution::Session),
        );
    }

    /// The trainers' session tells which job it is, their pipes which rank.
    #[test]
    fn softer_evidence_may_be_less_exact() {
        let trainers = [session(process(1, &[10]), 5), session(process(2, &[20]), 5)];
        let worker = session(process(9, &[10]), 5);
        tied(&worker, &trainers, Tied::To(Pid(1), Attribution::Pipe));
    }

    #[test]
    fn by_shared_memory_that_either_made() {
        let trainers = [maps(closed(1), 9), closed(2)];
        tied(&closed(9), &trainers, Tied::To(Pid(1), Attribution::Shm));
        tied(
            &maps(closed(8), 2),
            &trainers,
            Tied::To(Pid(2), Attribution::Shm),
        );
    }

    #[test]
    fn what_conflicts_leaves_it_with_nobody() {
        let trainers = [rank(process(1, &[7, 10]), 0), rank(process(2, &[7, 20]), 1)];
        let why = "nothing names one trainer alone: its pipes 1, its environment 2";
        tied(
            &rank(process(9, &[10, 7]), 1),
            &trainers,
            Tied::Torn(why.into()),
        );
        let why = "nothing names one trainer alone: its pipes 1-2";
        tied(&process(9, &[10, 20]), &trainers, Tied::Torn(why.into()));
    }

    #[test]
    fn another_users_process_is_no_worker_whatever_it_claims() {
        let of_user = |process: Process, uid| Process {
            uid: Some(uid),
            ..process
        };
        let trainers = [of_user(rank(closed(1), 0), 1000)];
        let claims = maps(rank(closed(9), 0), 1);
        tied(&of_user(claims.clone(), 1001), &trainers, Tied::ToNobody);
        let own = Tied::To(Pid(1), Attribution::Environ);
        tied(&of_user(claims.clone(), 1000), &trainers, own.clone());
        tied(&claims, &trainers, own);
    }

    /// Seen where a job was killed and started again: the same session, ranks and port.
    #[test]
    fn a_dead_jobs_worker_is_nobodys() {
        let trainers = [rank(session(process(1, &[10]), 5), 0)];
        tied(
            &rank(session(process(9, &[99]), 5), 0),
            &trainers,
            Tied::ToNobody,
        );
        let mut younger = trainers;
        younger[0].start_time_ticks = 7;
        tied(&rank(session(closed(9), 5), 0), &younger, Tied::ToNobody);
    }
}
