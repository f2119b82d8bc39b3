//! Holds one audit against another: what moved, what got better and what got worse.

pub mod expected;
pub mod findings;
pub mod machine;
pub mod pairs;
pub mod processes;

use std::collections::BTreeMap;

use crate::audit::place::verdict::Verdict;
pub use crate::compare::findings::{FindingChange, State};
use crate::compare::machine::MachineChange;
use crate::compare::pairs::pairs;
pub use crate::compare::processes::{Change, Facet, ProcessChange};
use crate::document::outline::{Outline, ProcessOutline};

/// Two audits, held against each other.
#[derive(Debug)]
pub struct Diff<'a> {
    /// The earlier one.
    pub before: &'a Outline,
    /// The later one.
    pub after: &'a Outline,
    /// What of the machine is another.
    pub machine: Vec<MachineChange>,
    /// Every process of either, the worst change first.
    pub processes: Vec<ProcessChange<'a>>,
    /// Every finding of either, the worst change first.
    pub findings: Vec<FindingChange<'a>>,
    /// Whether something could have got worse unseen: it could not be judged in the later audit, or is not there.
    pub is_open: bool,
}

/// Holds `after` against `before`.
pub fn diff<'a>(before: &'a Outline, after: &'a Outline) -> Diff<'a> {
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

/// The verdict that a document's word means; what has nothing to get wrong is as good as what is held in place.
pub(crate) fn verdict(word: Option<&String>) -> Option<Verdict> {
    match Verdict::named(word?)? {
        Verdict::SingleNode => Some(Verdict::Ok),
        verdict => Some(verdict),
    }
}

fn is_open(before: &Outline, after: &Outline, processes: &[ProcessChange]) -> bool {
    if before.processes.is_some() != after.processes.is_some() {
        return true;
    }
    let summary = after.summary.as_ref();
    let is_hidden = summary.is_some_and(|of| {
        let is_unknown = verdict(Some(&of.verdict)) == Some(Verdict::Unknown);
        !of.is_complete.unwrap_or(!is_unknown)
    });
    let unknown = |of: &ProcessOutline| verdict(of.verdict.as_ref()) == Some(Verdict::Unknown);
    // Of workers some may come and go, as long as there are any.
    let mut workers: BTreeMap<_, bool> = BTreeMap::new();
    for change in processes {
        if let Some(crew) = &change.crew {
            *workers.entry(crew).or_default() |= change.after.is_some();
        }
    }
    let lost = |change: &ProcessChange| {
        let is_missed = match &change.crew {
            Some(crew) => workers.get(crew) == Some(&false),
            None => true,
        };
        match (change.before, change.after) {
            (_, Some(after)) => unknown(after) || change.change == Change::NotJudged,
            (Some(before), None) => before.verdict.is_some() && is_missed,
            (None, None) => false,
        }
    };
    is_hidden || processes.iter().any(lost)
}

/// The worst change first; of like ones by rank, a trainer before its workers.
fn sorted(mut processes: Vec<ProcessChange>) -> Vec<ProcessChange> {
    const ROLES: [&str; 4] = ["trainer", "worker", "helper", "launcher"];
    processes.sort_by_key(|change| {
        let of = change.either();
        let role = of.and_then(|of| of.role.as_deref());
        let role = ROLES.iter().position(|known| role == Some(*known));
        let (gpus, pid) = of.map(|of| (of.gpus.clone(), of.pid)).unzip();
        // A process that is new may be worse than nothing was.
        let is_well = change.worsened_to.is_none();
        (is_well, change.change, change.rank, gpus, role, pid)
    });
    processes
}
