//! The sum of an audit.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::place::Verdict;
use crate::document::Summary;
use crate::machine::{Fact, Gap, Reason};

/// Counts verdicts and adds up local memory.
pub(crate) fn summarise(processes: &[PlacedProcess], gaps: &[Gap]) -> Summary {
    let verdicts: Vec<Verdict> = processes.iter().filter_map(|of| of.verdict).collect();
    let count = |wanted: &[Verdict]| verdicts.iter().filter(|of| wanted.contains(of)).count();
    let is_hidden = gaps.iter().any(|gap| gap.fact.leaves_open());
    let worst = verdicts.iter().copied().max();
    let worst = worst.max(is_hidden.then_some(Verdict::Unknown));
    let unknown = count(&[Verdict::Unknown]);
    let local = LocalSum::of(processes);
    Summary {
        verdict: worst.unwrap_or(Verdict::Ok).into(),
        processes: verdicts.len(),
        ok: count(&[Verdict::Ok, Verdict::SingleNode]),
        at_risk: count(&[Verdict::AtRisk]),
        mismatch: count(&[Verdict::Mismatch]),
        unknown,
        complete: Some(unknown == unread_by_choice(processes, gaps) && !is_hidden),
        local_fraction: (local.all > 0.0).then(|| local.local / local.all),
        exact: Some(local.is_exact),
        error: (local.all > 0.0 && !local.is_exact).then(|| local.error / local.all),
    }
}

/// How many processes are unknown only because their memory was not to be read (--memory none).
fn unread_by_choice(processes: &[PlacedProcess], gaps: &[Gap]) -> usize {
    let not_asked = gaps
        .iter()
        .filter(|gap| gap.fact == Fact::Memory && gap.reason == Reason::NotAsked);
    let not_asked: BTreeSet<_> = not_asked.filter_map(|gap| gap.pid).collect();
    let is_by_choice = |of: &&PlacedProcess| {
        of.verdict == Some(Verdict::Unknown)
            && of.cpu.verdict != Some(Verdict::Unknown)
            && not_asked.contains(&of.process.pid)
    };
    processes.iter().filter(is_by_choice).count()
}

/// Working memory of all judged processes, in bytes. Pages that several share count in each.
struct LocalSum {
    local: f64,
    all: f64,
    error: f64,
    is_exact: bool,
}

impl LocalSum {
    fn of(processes: &[PlacedProcess]) -> Self {
        let mut sum = Self {
            local: 0.0,
            all: 0.0,
            error: 0.0,
            is_exact: true,
        };
        let judged = processes.iter().filter(|process| process.is_judged());
        for pages in judged.filter_map(|process| process.memory.pages.as_ref()) {
            let Some(share) = pages.share else { continue };
            sum.local += share.local.0 as f64;
            sum.all += share.all.0 as f64;
            if let Some(estimate) = &pages.estimate {
                sum.is_exact = false;
                sum.error += share.all.0 as f64 * estimate.error.unwrap_or(0.0);
            }
        }
        sum
    }
}
