//! Which process of one audit is which of another.

use std::collections::BTreeMap;
use std::fmt;

use crate::document::{Document, ProcessEntry};
use crate::units::{PciAddress, Pid};
use crate::words::Role;

/// A process that is in both audits, or in one only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    /// `None` for one that is new.
    pub(crate) before: Option<&'a ProcessEntry>,
    /// `None` for one that is gone.
    pub(crate) after: Option<&'a ProcessEntry>,
    /// How the two were matched; `None` for a process in one audit only.
    pub(crate) matched_by: Option<MatchedBy>,
}

/// How two processes were matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchedBy {
    /// They are one process: the same PID and start time.
    Process,
    /// Two trainers of one rank.
    Rank,
    /// Two trainers of one rank on this machine.
    LocalRank,
    /// Two trainers on one GPU.
    Gpu,
    /// Two workers of the same trainer or, where it is unknown, of the same GPUs, in the order of their start.
    Position,
    /// Two processes with the same role and name, in the order of their start.
    Name,
}

impl fmt::Display for MatchedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process",
            Self::Rank => "rank",
            Self::LocalRank => "local-rank",
            Self::Gpu => "gpu",
            Self::Position => "position",
            Self::Name => "name",
        })
    }
}

/// Matches the processes of two audits, by the strongest evidence first. A key that fits several processes decides nothing.
pub(crate) fn pairs<'a>(before: &'a Document, after: &'a Document) -> Vec<Pair<'a>> {
    let mut matching = Matching::new(before, after);
    matching.processes();
    matching.trainers();
    matching.workers();
    matching.others();
    matching.pairs()
}

/// One audit's processes in the order of their start.
struct Side<'a> {
    processes: Vec<&'a ProcessEntry>,
    at: BTreeMap<Pid, usize>,
    gpus: BTreeMap<u32, GpuIdentity<'a>>,
    /// The position of the matching process on the other side.
    partner: Vec<Option<usize>>,
}

/// What identifies a GPU in both audits.
#[derive(Clone, Copy, Default)]
struct GpuIdentity<'a> {
    uuid: Option<&'a str>,
    address: Option<PciAddress>,
}

impl<'a> Side<'a> {
    fn new(document: &'a Document) -> Self {
        let mut processes: Vec<&ProcessEntry> = document.processes().iter().collect();
        processes.sort_by_key(|of| (of.start_time_ticks, of.pid));
        let gpus = document.topology.gpus.iter().map(|gpu| {
            let known = GpuIdentity {
                uuid: gpu.uuid.as_deref(),
                address: gpu.pci_bus_id,
            };
            (gpu.index, known)
        });
        Self {
            at: processes.iter().map(|of| of.pid).zip(0..).collect(),
            partner: vec![None; processes.len()],
            gpus: gpus.collect(),
            processes,
        }
    }

    /// A fact about each of its GPUs; `None` where it is unknown of one of them, and for a process without GPUs.
    fn of_gpus<T>(
        &self,
        of: &ProcessEntry,
        fact: fn(&GpuIdentity<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let facts = of.gpus.iter().map(|index| fact(self.gpus.get(index)?));
        facts
            .collect::<Option<Vec<T>>>()
            .filter(|facts| !facts.is_empty())
    }

    /// The processes without a match, by key.
    fn unpaired<K: Ord>(&self, key: impl Fn(usize, &Self) -> Option<K>) -> BTreeMap<K, Vec<usize>> {
        let mut by_key: BTreeMap<K, Vec<usize>> = BTreeMap::new();
        for at in (0..self.processes.len()).filter(|at| self.partner[*at].is_none()) {
            if let Some(key) = key(at, self) {
                by_key.entry(key).or_default().push(at);
            }
        }
        by_key
    }
}

/// What to do with a key that fits several processes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Several {
    /// It decides nothing.
    Leave,
    /// Match them in their order.
    InOrder,
}

struct Matching<'a> {
    before: Side<'a>,
    after: Side<'a>,
    /// By the position in `after`.
    how: BTreeMap<usize, MatchedBy>,
    is_same_host: bool,
}

impl<'a> Matching<'a> {
    fn new(before: &'a Document, after: &'a Document) -> Self {
        let (one, other) = (&before.host.hostname, &after.host.hostname);
        Self {
            before: Side::new(before),
            after: Side::new(after),
            how: BTreeMap::new(),
            // A redacted recording has no name.
            is_same_host: one.is_none() || other.is_none() || one == other,
        }
    }

    fn by<K: Ord>(
        &mut self,
        how: MatchedBy,
        several: Several,
        key: impl Fn(&ProcessEntry, &Side) -> Option<K>,
    ) {
        let key = |at: usize, side: &Side<'a>| key(side.processes[at], side);
        let before = self.before.unpaired(key);
        let after = self.after.unpaired(key);
        self.pair(how, several, before, &after);
    }

    fn pair<K: Ord>(
        &mut self,
        how: MatchedBy,
        several: Several,
        before: BTreeMap<K, Vec<usize>>,
        after: &BTreeMap<K, Vec<usize>>,
    ) {
        for (key, ones) in before {
            let others = after.get(&key).map(Vec::as_slice).unwrap_or_default();
            if several == Several::Leave && (ones.len() > 1 || others.len() > 1) {
                continue;
            }
            for (one, other) in ones.into_iter().zip(others.iter().copied()) {
                self.before.partner[one] = Some(other);
                self.after.partner[other] = Some(one);
                self.how.insert(other, how);
            }
        }
    }

    /// Only on one machine: elsewhere a PID and its start time mean nothing.
    fn processes(&mut self) {
        if self.is_same_host {
            self.by(MatchedBy::Process, Several::Leave, |of, _| {
                Some((of.pid, of.start_time_ticks?))
            });
        }
    }

    fn trainers(&mut self) {
        use MatchedBy::{Gpu, LocalRank, Rank};
        let is_trainer = |of: &ProcessEntry| of.is(Role::Trainer);
        let rank = |of: &ProcessEntry| of.rank.filter(|_| is_trainer(of));
        let local = |of: &ProcessEntry| of.local_rank.filter(|_| is_trainer(of));
        let gpus = |of: &ProcessEntry| Some(of.gpus.clone()).filter(|_| is_trainer(of));
        // Several jobs may each have a rank 0: their GPUs distinguish them.
        self.by(Rank, Several::Leave, |of, side| {
            Some((rank(of)?, side.of_gpus(of, |gpu| gpu.address)?))
        });
        self.by(Rank, Several::Leave, |of, _| rank(of));
        self.by(LocalRank, Several::Leave, |of, side| {
            Some((local(of)?, side.of_gpus(of, |gpu| gpu.address)?))
        });
        self.by(LocalRank, Several::Leave, |of, _| local(of));
        self.by(Gpu, Several::Leave, |of, side| {
            let uuids = side.of_gpus(of, |gpu| Some(gpu.uuid?.to_owned()));
            uuids.filter(|_| is_trainer(of))
        });
        self.by(Gpu, Several::Leave, |of, side| {
            side.of_gpus(of, |gpu| gpu.address)
                .filter(|_| is_trainer(of))
        });
        self.by(Gpu, Several::InOrder, |of, _| gpus(of));
    }

    fn workers(&mut self) {
        let is_worker = |of: &ProcessEntry| of.is(Role::Worker);
        // On both sides the key is the position of the trainer in `before`.
        let before = self.before.unpaired(|at, side| {
            let of = side.processes[at];
            side.at
                .get(&of.trainer_pid?)
                .copied()
                .filter(|_| is_worker(of))
        });
        let after = self.after.unpaired(|at, side| {
            let of = side.processes[at];
            side.partner[*side.at.get(&of.trainer_pid?)?].filter(|_| is_worker(of))
        });
        self.pair(MatchedBy::Position, Several::InOrder, before, &after);
        self.by(MatchedBy::Position, Several::InOrder, |of, _| {
            let has_no_trainer = of.trainer_pid.is_none() && is_worker(of);
            has_no_trainer.then(|| of.gpus.clone())
        });
    }

    fn others(&mut self) {
        self.by(MatchedBy::Name, Several::InOrder, |of, _| {
            let is_job = of.is_of_job();
            (!is_job).then(|| (of.role.clone(), of.name.clone()))
        });
    }

    fn pairs(self) -> Vec<Pair<'a>> {
        let Self {
            before, after, how, ..
        } = self;
        let there = after.processes.iter().enumerate().map(|(at, of)| Pair {
            before: after.partner[at].map(|one| before.processes[one]),
            after: Some(of),
            matched_by: how.get(&at).copied(),
        });
        let alone = before.processes.iter().zip(&before.partner);
        let gone = alone
            .filter(|(_, partner)| partner.is_none())
            .map(|(of, _)| Pair {
                before: Some(of),
                after: None,
                matched_by: None,
            });
        there.chain(gone).collect()
    }
}
