//! What changed for each process.

use std::collections::BTreeMap;
use std::fmt;

use crate::compare::{FIELDS, MatchedBy, Pair, verdict};
use crate::document::{Document, ProcessEntry};
use crate::units::Pid;
use crate::words::{Role, Verdict};

/// One process, compared.
#[derive(Debug, Clone)]
pub(crate) struct ProcessChange<'a> {
    /// `None` for a new process.
    pub(crate) before: Option<&'a ProcessEntry>,
    /// `None` for a process that is gone.
    pub(crate) after: Option<&'a ProcessEntry>,
    /// How the two were matched; `None` for a process in one audit only.
    pub(crate) matched_by: Option<MatchedBy>,
    /// Its rank in its job; of a worker its trainer's.
    pub(crate) rank: Option<u32>,
    /// What changed.
    pub(crate) change: Change,
    /// The worst verdict that it got worse to; `mismatch` for a new process that is worse than the other workers of its
    /// trainer were. `None` where nothing got worse.
    pub(crate) worsened_to: Option<Verdict>,
    /// The paths of the fields that changed. Empty for a process in one audit only.
    pub(crate) changed: Vec<&'static str>,
    /// The workers that it belongs to; `None` for other processes.
    pub(crate) crew: Option<Crew>,
}

/// What changed for a process, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Its verdict, or that on its CPUs or its memory alone, is worse.
    Worse,
    /// It was judged before, and cannot be judged now.
    NotJudged,
    /// No process matches it in the later audit.
    Gone,
    /// No process matches it in the earlier audit.
    New,
    /// Something else changed, and its verdicts are the same.
    Moved,
    /// Its verdict, or that on its CPUs or its memory alone, is better, and none is worse.
    Better,
    /// Nothing changed.
    Same,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worse => "worse",
            Self::NotJudged => "not-judged",
            Self::Gone => "gone",
            Self::New => "new",
            Self::Moved => "moved",
            Self::Better => "better",
            Self::Same => "same",
        })
    }
}

impl<'a> ProcessChange<'a> {
    /// The process as it is now; one that is gone, as it was.
    pub(crate) fn either(&self) -> Option<&'a ProcessEntry> {
        self.after.or(self.before)
    }

    /// Whether it has a verdict in either audit.
    pub(crate) fn is_judged(&self) -> bool {
        let mut sides = [self.before, self.after].into_iter().flatten();
        sides.any(|of| of.verdict.is_some())
    }
}

/// Workers that may replace each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Crew {
    /// The trainer that they worked for.
    Earlier(Pid),
    /// The trainer that they work for, if it is new.
    Later(Pid),
    /// The GPUs that they work for, where their trainer is unknown.
    Gpus(Vec<u32>),
}

/// Compares each pair.
pub(crate) fn changes<'a>(pairs: &[Pair<'a>], before: &Document) -> Vec<ProcessChange<'a>> {
    let worst = worst_workers(before);
    let ties = Ties::of(pairs);
    let changes = pairs.iter().map(|pair| {
        let change = |change, worsened_to, changed| ProcessChange {
            before: pair.before,
            after: pair.after,
            matched_by: pair.matched_by,
            rank: ties.rank(pair),
            crew: ties.crew(pair),
            change,
            worsened_to,
            changed,
        };
        match (pair.before, pair.after) {
            (Some(before), Some(after)) => {
                let changed = FIELDS.iter().filter(|of| of.is_changed(before, after));
                let changed: Vec<&str> = changed.map(|field| field.path).collect();
                let (became, worsened_to) = became(before, after, !changed.is_empty());
                change(became, worsened_to, changed)
            }
            (None, Some(after)) => {
                let like = match ties.crew(pair) {
                    Some(Crew::Earlier(trainer)) => worst.get(&trainer),
                    _ => None,
                };
                let is_wrong = verdict(after.verdict.as_ref()) == Some(Verdict::Mismatch)
                    && like != Some(&Verdict::Mismatch);
                let worsened_to = is_wrong.then_some(Verdict::Mismatch);
                change(Change::New, worsened_to, Vec::new())
            }
            _ => change(Change::Gone, None, Vec::new()),
        }
    });
    changes.collect()
}

/// The worst verdict on the workers of each trainer.
fn worst_workers(document: &Document) -> BTreeMap<Pid, Verdict> {
    let mut worst = BTreeMap::new();
    for of in document.processes() {
        let is_worker = of.is(Role::Worker);
        if let (true, Some(trainer), Some(verdict)) =
            (is_worker, of.trainer_pid, verdict(of.verdict.as_ref()))
        {
            let so_far = worst.entry(trainer).or_insert(verdict);
            *so_far = verdict.max(*so_far);
        }
    }
    worst
}

/// What workers inherit from their trainers.
struct Ties {
    /// The rank of each trainer, by its earlier PID.
    before: BTreeMap<Pid, u32>,
    /// The same by its later PID.
    after: BTreeMap<Pid, u32>,
    /// The earlier PID by the later PID.
    earlier: BTreeMap<Pid, Pid>,
}

impl Ties {
    fn of(pairs: &[Pair]) -> Self {
        let by = |pid: fn(&Pair) -> Option<Pid>| {
            let ranks = pairs
                .iter()
                .filter_map(|pair| Some((pid(pair)?, own_rank(pair)?)));
            ranks.collect()
        };
        Self {
            before: by(|pair| Some(pair.before?.pid)),
            after: by(|pair| Some(pair.after?.pid)),
            earlier: pairs
                .iter()
                .filter_map(|pair| Some((pair.after?.pid, pair.before?.pid)))
                .collect(),
        }
    }

    fn rank(&self, pair: &Pair) -> Option<u32> {
        let of_trainer = |of: Option<&ProcessEntry>, ranks: &BTreeMap<Pid, u32>| {
            ranks.get(&of?.trainer_pid?).copied()
        };
        own_rank(pair)
            .or_else(|| of_trainer(pair.after, &self.after))
            .or_else(|| of_trainer(pair.before, &self.before))
    }

    fn crew(&self, pair: &Pair) -> Option<Crew> {
        let of = pair.before.or(pair.after)?;
        if !of.is(Role::Worker) {
            return None;
        }
        let Some(trainer) = of.trainer_pid else {
            return Some(Crew::Gpus(of.gpus.clone()));
        };
        Some(match (pair.before, self.earlier.get(&trainer)) {
            (Some(_), _) => Crew::Earlier(trainer),
            (None, Some(earlier)) => Crew::Earlier(*earlier),
            (None, None) => Crew::Later(trainer),
        })
    }
}

fn own_rank(pair: &Pair) -> Option<u32> {
    let mut sides = [pair.after, pair.before].into_iter().flatten();
    sides.find_map(|of| of.rank.or(of.local_rank))
}

/// What changed for a process that is in both audits, and the worst verdict that it got worse to.
fn became(
    before: &ProcessEntry,
    after: &ProcessEntry,
    has_changed: bool,
) -> (Change, Option<Verdict>) {
    let verdicts = |of: &ProcessEntry| {
        [&of.cpu.verdict, &of.memory.verdict, &of.verdict].map(|word| verdict(word.as_ref()))
    };
    let mut worsened_to = None;
    let (mut is_lost, mut is_better) = (false, false);
    for (was, is) in verdicts(before).into_iter().zip(verdicts(after)) {
        match (was, is) {
            (Some(was), Some(Verdict::Unknown)) => is_lost |= was != Verdict::Unknown,
            (Some(was), Some(is)) if is > was => worsened_to = worsened_to.max(Some(is)),
            (Some(was), Some(is)) => is_better |= is < was,
            (None, Some(Verdict::Mismatch)) => worsened_to = Some(Verdict::Mismatch),
            _ => {}
        }
    }
    let change = match () {
        () if worsened_to.is_some() => Change::Worse,
        () if is_lost => Change::NotJudged,
        () if is_better => Change::Better,
        () if has_changed => Change::Moved,
        () => Change::Same,
    };
    (change, worsened_to)
}
