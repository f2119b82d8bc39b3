//! A trainer or a worker interleaves its memory over several NUMA nodes, at least one of which is not local.
//!
//! Why it costs: the pages on all nodes except the GPU's node are remote by design. Interleaving helps memory with readers
//! on many nodes, but this memory has one reader.
//!
//! What it cannot know: whether it is intended, for example because the memory of one node is too small.
//!
//! What to do: start the process without --interleave, or bind its memory.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::Locality;
use crate::audit::rules::{Group, Rule, RuleContext, Violation, node_names};
use crate::machine::{Mode, Policy};
use crate::units::{NodeId, NodeSet};

pub(crate) const RULE: Rule = Rule {
    name: "policy-interleaved",
    severity: Severity::Info,
    text: include_str!("policy_interleaved.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() {
        return Vec::new();
    }
    let groups = context.groups(|placed| interleave_policy(placed).is_some());
    let violations = groups.iter().map(|group| {
        let message = group.each_part(|part| {
            format!(
                "{} {} memory over {}",
                part.but(),
                part.agree("interleaves its", "interleave their"),
                node_names(&policy_nodes(part))
            )
        });
        let evidence = Evidence::from([("policy_nodes", Value::Nodes(policy_nodes(group)))]);
        let remedy =
            Remedy::in_words("start it without --interleave, if the memory of one node is enough");
        Violation::by(group, message, evidence, remedy)
    });
    violations.collect()
}

fn policy_nodes(group: &Group) -> NodeSet {
    let policies = group.iter().filter_map(interleave_policy);
    policies
        .flat_map(|policy| policy.nodes.iter().copied())
        .collect()
}

/// The memory policy, if it interleaves over several nodes of which at least one is not local.
fn interleave_policy(placed: &PlacedProcess) -> Option<&Policy> {
    let policy = &placed.memory.pages.as_ref()?.policy;
    let interleaves = matches!(policy.mode, Mode::Interleave | Mode::WeightedInterleave);
    // A process with GPUs on several nodes has a reader on each of them.
    let is_off = |node: &NodeId| placed.memory_locality(*node) > Some(Locality::Local);
    let leaves_local = policy.nodes.iter().any(is_off);
    (interleaves && policy.nodes.len() > 1 && leaves_local).then_some(policy)
}
