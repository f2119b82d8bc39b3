//! More of a process's working memory than the limits allow lies on another node of its GPU's socket, or on a node of
//! memory only (HBM, CXL) that belongs to it.
//!
//! Why it costs: nothing crosses the sockets, and the way is longer than it need be.
//!
//! What it cannot know: whether that memory was chosen, as for its size or speed. --strict-node takes near for remote.
//!
//! What to do: bind the memory too (numactl --membind), or leave it, if the node's own does not suffice.

use crate::audit::finding::{Severity, Value};
use crate::audit::place::verdict::{Locality, Verdict};
use crate::audit::rules::off_memory::OffMemory;
use crate::audit::rules::remedy::bind_and_move;
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "memory-near",
    severity: Severity::Warning,
    text: include_str!("memory_near.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let at_risk = Some(Verdict::AtRisk);
    let groups = context.groups(|audited| audited.memory.verdict == at_risk);
    let broken = groups.into_iter().map(|group| {
        let off = OffMemory::of(&group, Locality::Near);
        let mut evidence = off.evidence();
        evidence.insert("home_nodes", Value::Nodes(group[0].home_nodes.clone()));
        let remedy = bind_and_move(context, &group, &off.from);
        Violation::by(&group, off.sentence(&group), evidence, remedy)
    });
    broken.collect()
}
