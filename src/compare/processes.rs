//! What became of each process.

use std::collections::BTreeMap;
use std::fmt;

use crate::audit::place::verdict::Verdict;
use crate::compare::pairs::{MatchedBy, Pair};
use crate::compare::verdict;
use crate::document::outline::{LocalShare, Outline, ProcessOutline};
use crate::units::{NodeSet, Pid};

/// What became of one process.
#[derive(Debug, Clone)]
pub struct ProcessChange<'a> {
    /// `None` for one that is new.
    pub before: Option<&'a ProcessOutline>,
    /// `None` for one that is gone.
    pub after: Option<&'a ProcessOutline>,
    /// How it is known that they belong together; `None` for one that stands alone.
    pub matched_by: Option<MatchedBy>,
    /// The rank in its job: its trainer's, for a worker.
    pub rank: Option<u32>,
    /// What became of it.
    pub change: Change,
    /// The worst verdict that it got worse to; for a new one `mismatch`, if its like was better. `None` where nothing
    /// got worse.
    pub worsened_to: Option<Verdict>,
    /// All that is known of it on both sides and is another. Empty for one that is new or gone.
    pub changed: Vec<Facet>,
    /// Those that it stands with; `None` for what is no worker.
    pub(crate) crew: Option<Crew>,
}

/// What became of a process, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Its verdict, or that on its CPUs or its memory alone, is worse.
    Worse,
    /// It could be judged, and no more.
    NotJudged,
    /// There is none like it any more.
    Gone,
    /// There was none like it.
    New,
    /// It is elsewhere, and as well placed as before.
    Moved,
    /// Its verdict, or that on its CPUs or its memory alone, is better, and none is worse.
    Better,
    /// Nothing is another.
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

/// Something about a process that may be another, named as in the audit's document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    /// What it does.
    Role,
    /// Its GPUs' indexes.
    Gpus,
    /// Its GPUs' home nodes.
    HomeNodes,
    /// The node on which it ran.
    CpuNode,
    /// The CPUs on which it may run.
    Affinity,
    /// Whether that holds it.
    BindTo,
    /// Whether any thread was off the local nodes.
    Astray,
    /// Its memory policy.
    Policy,
    /// The policy's nodes.
    PolicyNodes,
    /// What its cpuset leaves it.
    MemsAllowed,
    /// The node with most of its memory.
    MemoryNode,
    /// How much of its memory is local, if that differs by more than the error of an estimate and by a percent at
    /// least.
    LocalFraction,
    /// The verdict on its CPUs.
    CpuVerdict,
    /// The verdict on its memory.
    MemoryVerdict,
    /// The worse of both.
    Verdict,
}

impl fmt::Display for Facet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "role",
            Self::Gpus => "gpus",
            Self::HomeNodes => "home_nodes",
            Self::CpuNode => "cpu.node",
            Self::Affinity => "cpu.affinity",
            Self::BindTo => "cpu.bound",
            Self::Astray => "cpu.threads.astray",
            Self::Policy => "memory.policy",
            Self::PolicyNodes => "memory.policy_nodes",
            Self::MemsAllowed => "memory.mems_allowed",
            Self::MemoryNode => "memory.node",
            Self::LocalFraction => "memory.local_fraction",
            Self::CpuVerdict => "cpu.verdict",
            Self::MemoryVerdict => "memory.verdict",
            Self::Verdict => "verdict",
        })
    }
}

impl<'a> ProcessChange<'a> {
    /// The process as it is or, where it is gone, as it was.
    pub fn either(&self) -> Option<&'a ProcessOutline> {
        self.after.or(self.before)
    }

    /// Whether it gets a verdict, or got one.
    pub fn is_judged(&self) -> bool {
        let mut sides = [self.before, self.after].into_iter().flatten();
        sides.any(|of| of.verdict.is_some())
    }
}

/// What makes workers alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Crew {
    /// The trainer that they worked for.
    Earlier(Pid),
    /// The trainer that they work for, which is new.
    Later(Pid),
    /// The GPUs that they work for, where their trainer is not known.
    Gpus(Vec<u32>),
}

/// What became of each pair.
pub fn changes<'a>(pairs: &[Pair<'a>], before: &Outline) -> Vec<ProcessChange<'a>> {
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
                let changed = changed(before, after);
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
fn worst_workers(outline: &Outline) -> BTreeMap<Pid, Verdict> {
    let mut worst = BTreeMap::new();
    for of in outline.processes.iter().flatten() {
        let is_worker = of.role.as_deref() == Some("worker");
        if let (true, Some(trainer), Some(verdict)) =
            (is_worker, of.trainer, verdict(of.verdict.as_ref()))
        {
            let so_far = worst.entry(trainer).or_insert(verdict);
            *so_far = verdict.max(*so_far);
        }
    }
    worst
}

/// What workers have of their trainers.
struct Ties {
    /// The rank of each, by its earlier PID.
    before: BTreeMap<Pid, u32>,
    /// By its later one.
    after: BTreeMap<Pid, u32>,
    /// The earlier PID by the later one.
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
        let of_trainer = |of: Option<&ProcessOutline>, ranks: &BTreeMap<Pid, u32>| {
            ranks.get(&of?.trainer?).copied()
        };
        own_rank(pair)
            .or_else(|| of_trainer(pair.after, &self.after))
            .or_else(|| of_trainer(pair.before, &self.before))
    }

    fn crew(&self, pair: &Pair) -> Option<Crew> {
        let of = pair.before.or(pair.after)?;
        if of.role.as_deref() != Some("worker") {
            return None;
        }
        let Some(trainer) = of.trainer else {
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

/// What became of a process that is on both sides, and the worst verdict that it got worse to.
fn became(
    before: &ProcessOutline,
    after: &ProcessOutline,
    has_changed: bool,
) -> (Change, Option<Verdict>) {
    let verdicts = |of: &ProcessOutline| {
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

/// All that is known on both sides and is another.
fn changed(before: &ProcessOutline, after: &ProcessOutline) -> Vec<Facet> {
    fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
        one.is_some() && other.is_some() && one != other
    }
    let (cpu, cpu_now) = (&before.cpu, &after.cpu);
    let (memory, memory_now) = (&before.memory, &after.memory);
    let known = |nodes: &NodeSet| Some(nodes.clone()).filter(|nodes| !nodes.is_empty());
    let any_astray = |astray: Option<usize>| astray.map(|count| count > 0);
    let all = [
        (Facet::Role, before.role != after.role),
        (Facet::Gpus, before.gpus != after.gpus),
        (
            Facet::HomeNodes,
            differ(&known(&before.home_nodes), &known(&after.home_nodes)),
        ),
        (Facet::CpuNode, differ(&cpu.node, &cpu_now.node)),
        (Facet::Affinity, differ(&cpu.affinity, &cpu_now.affinity)),
        (Facet::BindTo, differ(&cpu.bound, &cpu_now.bound)),
        (
            Facet::Astray,
            differ(&any_astray(cpu.astray), &any_astray(cpu_now.astray)),
        ),
        (Facet::Policy, differ(&memory.policy, &memory_now.policy)),
        (
            Facet::PolicyNodes,
            differ(&memory.policy_nodes, &memory_now.policy_nodes),
        ),
        (
            Facet::MemsAllowed,
            differ(&memory.mems_allowed, &memory_now.mems_allowed),
        ),
        (Facet::MemoryNode, differ(&memory.node, &memory_now.node)),
        (
            Facet::LocalFraction,
            is_another_share(memory.local, memory_now.local),
        ),
        (Facet::CpuVerdict, differ(&cpu.verdict, &cpu_now.verdict)),
        (
            Facet::MemoryVerdict,
            differ(&memory.verdict, &memory_now.verdict),
        ),
        (Facet::Verdict, differ(&before.verdict, &after.verdict)),
    ];
    let changed = all.into_iter().filter(|(_, is_another)| *is_another);
    changed.map(|(facet, _)| facet).collect()
}

/// Whether so much more or less is local that it is told. A running process's memory is never quite the same twice.
pub fn is_another_share(before: LocalShare, after: LocalShare) -> bool {
    const LEAST: f64 = 0.01;
    let (Some(one), Some(other)) = (before.fraction, after.fraction) else {
        return false;
    };
    // An estimate that does not tell its error says nothing of a difference.
    let error = |of: LocalShare| of.error.unwrap_or(if of.is_estimate { 1.0 } else { 0.0 });
    let apart = (one - other).abs();
    apart >= LEAST && apart > error(before) + error(after)
}
