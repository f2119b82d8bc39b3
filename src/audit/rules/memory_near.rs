//! More of the working memory of a process than the limits allow is on another node of its GPU's socket, or on a node
//! without CPUs (HBM, CXL) of that socket. Memory on other sockets counts with it: each part may be within the limits, and
//! both together beyond them.
//!
//! Why it costs: nothing crosses the sockets, but the path to this memory is longer than necessary.
//!
//! What it cannot know: whether the memory was chosen, for its size or its speed. With --strict-node a near node counts
//! as remote.
//!
//! What to do: bind the memory as well (numactl --membind), or leave it if the home node has too little memory.

use crate::audit::PlacedProcess;
use crate::audit::finding::Severity;
use crate::audit::place::{Locality, Verdict};
use crate::audit::rules::{NonLocalMemory, Rule, RuleContext, Violation, bind_and_move};

pub(crate) const RULE: Rule = Rule {
    name: "memory-near",
    severity: Severity::Warning,
    text: include_str!("memory_near.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    // A process with GPUs on several nodes can be at risk by its pinned memory alone.
    let is_beyond = |placed: &PlacedProcess| {
        let pages = placed.memory.pages.as_ref();
        let share = pages.and_then(|pages| pages.share);
        share.is_some_and(|share| context.limits.exceeds(share.off, share.all))
    };
    let at_risk = Some(Verdict::AtRisk);
    let groups = context.groups(|placed| placed.memory.verdict == at_risk && is_beyond(placed));
    let violations = groups.iter().map(|group| {
        let memory = NonLocalMemory::of(group, Locality::Near);
        let message = group.each_part(|part| {
            let remote = NonLocalMemory::of(part, Locality::Remote);
            NonLocalMemory::of(part, Locality::Near).sentence(part) + &remote.as_part()
        });
        let remedy = bind_and_move(context, group);
        Violation::by(group, message, memory.evidence(group), remedy)
    });
    violations.collect()
}
