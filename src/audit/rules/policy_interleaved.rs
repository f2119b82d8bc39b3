//! A trainer or a worker interleaves its memory over nodes.
//!
//! Why it costs: of what it touches, the share of all nodes but the GPU's is remote by design. Interleaving serves many
//! readers on many nodes, and this memory has one.
//!
//! What it cannot know: whether it is meant, as where one node's memory does not suffice.
//!
//! What to do: start it without --interleave, or bind it.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::words::{each, on_nodes, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::machine::memory::{Mode, Policy};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "policy-interleaved",
    severity: Severity::Info,
    text: include_str!("policy_interleaved.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let groups = context.groups(|audited| interleaved(audited).is_some());
    let broken = groups.into_iter().map(|group| {
        let nodes = group.iter().filter_map(|audited| interleaved(audited));
        let nodes: NodeSet = nodes.flat_map(|policy| &policy.nodes).copied().collect();
        Violation::by(
            &group,
            format!(
                "{} {} memory over {}",
                subject(&group),
                each(&group, "interleaves its", "interleave their"),
                on_nodes(&nodes)
            ),
            Evidence::from([("policy_nodes", Value::Nodes(nodes))]),
            Remedy::in_words("start it without --interleave, if one node's memory suffices"),
        )
    });
    broken.collect()
}

/// The policy, if it interleaves over several nodes, other than the local ones among them.
fn interleaved(audited: &PlacedProcess) -> Option<&Policy> {
    let policy = &audited.memory.pages.as_ref()?.policy;
    let interleaves = matches!(policy.mode, Mode::Interleave | Mode::WeightedInterleave);
    // One process on GPUs of several nodes has several readers.
    let local = &audited.local_nodes;
    let leaves = !local.is_empty() && !policy.nodes.is_subset(local);
    (interleaves && policy.nodes.len() > 1 && leaves).then_some(policy)
}
