//! A NUMA node has CPUs but no GPU, while other nodes have GPUs.
//!
//! Why it costs: binding every rank to its GPU's node leaves the CPUs and the memory of this node unused. With many
//! workers that may cost more than the binding gains.
//!
//! What it cannot know: what else runs on that node. Where GPUs may exist that no driver lists it says nothing.
//!
//! What to do: choose the number of workers by the CPUs of the nodes that have GPUs.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation, node_names};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "node-without-gpus",
    severity: Severity::Info,
    text: include_str!("node_without_gpus.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let (gpus, topology) = (context.machine.gpus, context.machine.topology);
    let is_any_unknown = gpus.iter().any(|place| place.local_nodes.is_empty());
    // GPUs that no driver lists: in a container that was given others, given to a virtual machine, or lost by the driver.
    let unlisted = context.machine.devices.iter();
    let mut unlisted = unlisted.filter(|device| device.is_nvidia_gpu() || device.may_compute);
    let is_any_unknown = is_any_unknown
        || context.machine.has_unlisted_gpus
        || unlisted.clone().any(|device| device.node.is_none());
    if gpus.is_empty() || is_any_unknown || !topology.is_whole() {
        return Vec::new();
    }
    let listed = gpus
        .iter()
        .flat_map(|place| place.local_nodes.iter().copied());
    let used: NodeSet = listed
        .chain(unlisted.by_ref().filter_map(|device| device.node))
        .collect();
    let unused = &topology.cpu_bearing() - &used;
    if unused.is_empty() {
        return Vec::new();
    }
    let names = node_names(&unused);
    vec![Violation::of_machine(
        format!(
            "no GPU is attached to {names}: binding every rank to its GPU's node leaves the CPUs of {names} unused"
        ),
        Evidence::from([("nodes", Value::Nodes(unused))]),
        Remedy::in_words("choose the number of workers by the CPUs of the other nodes"),
    )]
}
