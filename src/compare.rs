//! Compares one audit with another: what moved, what improved and what got worse.

pub(crate) mod expected;
pub(crate) mod fields;
pub(crate) mod findings;
pub(crate) mod fleet;
pub(crate) mod machine;
pub(crate) mod pairs;
mod planned;
pub(crate) mod processes;

pub(crate) use expected::{Comparison, Difference, Unexpected};
pub(crate) use fields::{CPU_VERDICT, FIELDS, LOCAL_FRACTION, MEMORY_VERDICT, VERDICT};
pub(crate) use findings::{FindingChange, FindingState};
pub(crate) use fleet::{Fleet, Outcome};
pub(crate) use machine::{MachineChange, known_nodes};
pub(crate) use pairs::{MatchedBy, Pair};
pub(crate) use processes::{Change, ProcessChange};

use std::collections::BTreeMap;

use crate::compare::pairs::pairs;
use crate::document::{Document, ProcessEntry, Summary};
use crate::words::{Role, Verdict, Word};

/// Two audits, compared.
#[derive(Debug)]
pub(crate) struct Diff<'a> {
    /// The earlier one.
    pub(crate) before: &'a Document,
    /// The later one.
    pub(crate) after: &'a Document,
    /// What differs in the machine.
    pub(crate) machine: Vec<MachineChange>,
    /// Every process of either, the worst change first.
    pub(crate) processes: Vec<ProcessChange<'a>>,
    /// Every finding of either, the worst change first.
    pub(crate) findings: Vec<FindingChange<'a>>,
    /// Whether something could have got worse unseen: it could not be judged in the later audit, or does not exist there.
    pub(crate) is_open: bool,
}

/// Compares `after` with `before`.
pub(crate) fn diff<'a>(before: &'a Document, after: &'a Document) -> Diff<'a> {
    let pairs = pairs(before, after);
    let processes = processes::changes(&pairs, before);
    let findings = findings::changes(before, after, &processes);
    Diff {
        machine: machine::changes(before, after),
        is_open: is_open(before, after, &processes),
        processes: sorted(processes),
        findings,
        before,
        after,
    }
}

/// A document's verdict for a comparison: on a machine with a single node everything is in place.
pub(crate) fn verdict(word: Option<&Word<Verdict>>) -> Option<Verdict> {
    match word?.known()? {
        Verdict::SingleNode => Some(Verdict::Ok),
        verdict => Some(verdict),
    }
}

fn is_open(before: &Document, after: &Document, processes: &[ProcessChange]) -> bool {
    if before.processes.is_some() != after.processes.is_some() {
        return true;
    }
    let is_incomplete = |summary: &Summary| !summary.is_complete();
    let is_unknown = |of: &ProcessEntry| verdict(of.verdict.as_ref()) == Some(Verdict::Unknown);
    // Single workers may come and go, as long as some of the crew exist.
    let mut workers: BTreeMap<_, bool> = BTreeMap::new();
    for change in processes {
        if let Some(crew) = &change.crew {
            *workers.entry(crew).or_default() |= change.after.is_some();
        }
    }
    let is_lost = |change: &ProcessChange| {
        let is_missed = match &change.crew {
            Some(crew) => workers.get(crew) == Some(&false),
            None => true,
        };
        match (change.before, change.after) {
            (_, Some(after)) => is_unknown(after) || change.change == Change::NotJudged,
            (Some(before), None) => before.verdict.is_some() && is_missed,
            (None, None) => false,
        }
    };
    after.summary.as_ref().is_some_and(is_incomplete) || processes.iter().any(is_lost)
}

/// The worst change first; equal changes by rank, a trainer before its workers.
fn sorted(mut processes: Vec<ProcessChange>) -> Vec<ProcessChange> {
    const ROLES: [Role; 4] = [Role::Trainer, Role::Worker, Role::Helper, Role::Launcher];
    processes.sort_by_key(|change| {
        let of = change.either();
        let role = of.and_then(ProcessEntry::known_role);
        let role = ROLES.iter().position(|known| role == Some(*known));
        let (gpus, pid) = of.map(|of| (of.gpus.clone(), of.pid)).unzip();
        // A new process may count as worse too.
        let is_well = change.worsened_to.is_none();
        (is_well, change.change, change.rank, gpus, role, pid)
    });
    processes
}
