//! A node with CPUs and no GPU, where other nodes have some.
//!
//! Why it costs: binding every rank to its GPU's node leaves this node's CPUs and memory unused; with many workers that
//! may cost more than it gains.
//!
//! What it cannot know: what else runs there.
//!
//! What to do: mind it when workers are counted: they have the CPUs of the GPUs' nodes alone.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::words::on_nodes;
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "node-without-gpus",
    severity: Severity::Info,
    text: include_str!("node_without_gpus.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let is_all_known = context
        .gpus
        .iter()
        .all(|place| !place.local_nodes.is_empty());
    if context.gpus.is_empty() || !is_all_known || !context.topology.is_whole() {
        return Vec::new();
    }
    let used: NodeSet = context
        .gpus
        .iter()
        .flat_map(|place| place.local_nodes.clone())
        .collect();
    let unused = &context.topology.cpu_bearing() - &used;
    if unused.is_empty() {
        return Vec::new();
    }
    vec![Violation::of_machine(
        format!(
            "no GPU hangs on {}: who binds every rank to its GPU's node leaves these CPUs unused",
            on_nodes(&unused)
        ),
        Evidence::from([("nodes", Value::Nodes(unused))]),
        Remedy::in_words("mind it when workers are counted"),
    )]
}
