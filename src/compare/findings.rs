//! What changed for each finding.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::compare::{Change, ProcessChange, verdict};
use crate::document::{Document, Finding, ProcessEntry};
use crate::units::Pid;
use crate::words::{Severity, Verdict};

/// One finding, compared.
#[derive(Debug, Clone)]
pub(crate) struct FindingChange<'a> {
    /// As it is now; one that is gone, as it was.
    pub(crate) finding: &'a Finding,
    /// `None` for a word that this version of the program does not know.
    pub(crate) severity: Option<Severity>,
    /// What changed.
    pub(crate) state: FindingState,
    /// The processes that did not break the rule before, without new processes that are no worse than the matching ones.
    pub(crate) joined: Vec<Pid>,
    /// Whether more is wrong than before: an error, or a warning about a process that did not get better (one that moved
    /// to its local nodes and is not bound there yet did).
    pub(crate) is_worse: bool,
}

/// What changed for a finding, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FindingState {
    /// It is new.
    New,
    /// It existed, with fewer processes.
    Spread,
    /// It is unknown whether it still exists.
    NotJudged,
    /// It still exists.
    Remains,
    /// It is gone, and so are its processes.
    Gone,
    /// It is gone, and its processes still exist.
    Fixed,
}

impl fmt::Display for FindingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "new",
            Self::Spread => "spread",
            Self::NotJudged => "not-judged",
            Self::Remains => "remains",
            Self::Gone => "gone",
            Self::Fixed => "fixed",
        })
    }
}

/// What breaks a rule: a process, by its position among the changes; or GPUs; or the machine, which is no GPUs.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Subject<'a> {
    Process(usize),
    Gpus(&'a [u32]),
}

/// Compares the findings of both sides.
pub(crate) fn changes<'a>(
    before: &'a Document,
    after: &'a Document,
    processes: &[ProcessChange],
) -> Vec<FindingChange<'a>> {
    let was_at = positions(processes, |change| change.before);
    let is_at = positions(processes, |change| change.after);
    // Several findings of one rule with the same process count as one for it.
    let mut broken = Broken::new();
    for (finding, at) in before.findings.iter().zip(0..) {
        for subject in subjects(finding, &was_at) {
            broken.entry((&finding.rule, subject)).or_insert(at);
        }
    }
    let mut seen_again = BTreeSet::new();
    let mut changes: Vec<FindingChange> = Vec::new();
    for finding in &after.findings {
        let again = subjects(finding, &is_at)
            .filter_map(|subject| broken.get(&(finding.rule.as_str(), subject)).copied());
        let again: BTreeSet<usize> = again.collect();
        let joined = joined(finding, processes, &is_at, &broken);
        let state = match (again.is_empty(), joined.is_empty()) {
            (true, _) => FindingState::New,
            (false, false) => FindingState::Spread,
            (false, true) => FindingState::Remains,
        };
        seen_again.extend(again);
        let is_no_better = |pid: &Pid| match is_at.get(pid) {
            Some(at) => processes[*at].change != Change::Better,
            None => true,
        };
        let is_worse = match finding.severity.known() {
            _ if state == FindingState::Remains => false,
            Some(Severity::Error) => true,
            Some(Severity::Warning) => joined.iter().any(is_no_better),
            _ => false,
        };
        changes.push(FindingChange {
            is_worse,
            ..change(finding, state, joined)
        });
    }
    for (finding, at) in before.findings.iter().zip(0..) {
        if !seen_again.contains(&at) {
            let later = finding.pids.iter().filter_map(|pid| was_at.get(pid));
            let state = ended(finding, later.map(|at| &processes[*at]));
            changes.push(change(finding, state, Vec::new()));
        }
    }
    // The sort is stable: findings of one severity stay in the order of the rules.
    changes.sort_by_key(|change| (change.state, change.severity.is_none(), change.severity));
    changes
}

/// The earlier findings by rule and subject: their positions.
type Broken<'a> = BTreeMap<(&'a str, Subject<'a>), usize>;

/// The position of each process among the changes, by its PID on one side.
fn positions<'a>(
    processes: &[ProcessChange<'a>],
    side: fn(&ProcessChange<'a>) -> Option<&'a ProcessEntry>,
) -> BTreeMap<Pid, usize> {
    let positions = processes.iter().zip(0..);
    positions
        .filter_map(|(change, at)| Some((side(change)?.pid, at)))
        .collect()
}

/// The processes that break a rule now and did not break it before.
fn joined(
    finding: &Finding,
    processes: &[ProcessChange],
    is_at: &BTreeMap<Pid, usize>,
    broken: &Broken,
) -> Vec<Pid> {
    let joins = |pid: &&Pid| {
        let Some(at) = is_at.get(pid) else {
            return true;
        };
        let change = &processes[*at];
        let was_there = change.before.is_some() || change.worsened_to.is_some();
        was_there && !broken.contains_key(&(&finding.rule, Subject::Process(*at)))
    };
    finding.pids.iter().filter(joins).copied().collect()
}

fn change(finding: &Finding, state: FindingState, joined: Vec<Pid>) -> FindingChange<'_> {
    FindingChange {
        severity: finding.severity.known(),
        finding,
        state,
        joined,
        is_worse: false,
    }
}

fn subjects<'a>(
    finding: &'a Finding,
    places: &BTreeMap<Pid, usize>,
) -> impl Iterator<Item = Subject<'a>> {
    let pids = finding.pids.iter();
    let processes = pids.filter_map(|pid| Some(Subject::Process(*places.get(pid)?)));
    let has_no_process = finding.pids.is_empty();
    processes.chain(has_no_process.then_some(Subject::Gpus(&finding.gpus)))
}

/// Why a finding does not exist any more.
fn ended<'a>(
    finding: &Finding,
    became: impl Iterator<Item = &'a ProcessChange<'a>>,
) -> FindingState {
    let mut state = match finding.pids.is_empty() {
        true => FindingState::Fixed,
        false => FindingState::Gone,
    };
    for change in became {
        let Some(after) = change.after else { continue };
        let is_unknown = verdict(after.verdict.as_ref()) == Some(Verdict::Unknown);
        if is_unknown || change.change == Change::NotJudged {
            return FindingState::NotJudged;
        }
        state = FindingState::Fixed;
    }
    state
}
