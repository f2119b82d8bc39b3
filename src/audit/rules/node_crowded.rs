//! More processes belong on a NUMA node, or are bound to it, than the node has CPUs.
//!
//! Why it costs: processes that wait for a CPU lose more time than remote memory costs. Binding can make such a job
//! slower.
//!
//! What it cannot know: how busy each process is. It counts every trainer and every worker as one.
//!
//! What to do: start fewer workers before you bind them, or bind to the socket instead of the node.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Group, Rule, RuleContext, Violation, node_names};
use crate::units::{NodeSet, Pid};

pub(crate) const RULE: Rule = Rule {
    name: "node-crowded",
    severity: Severity::Info,
    text: include_str!("node_crowded.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() {
        return Vec::new();
    }
    let mut by_local_nodes: BTreeMap<&NodeSet, Vec<&PlacedProcess>> = BTreeMap::new();
    for placed in context.judged() {
        let nodes = &placed.local_nodes;
        if !placed.membership.gpus.is_empty() && !nodes.is_empty() {
            by_local_nodes.entry(nodes).or_default().push(placed);
        }
    }
    let groups = by_local_nodes.into_values().filter_map(Group::new);
    groups
        .filter_map(|group| violation(context, &group))
        .collect()
}

fn violation(context: &RuleContext, group: &Group) -> Option<Violation> {
    let nodes = group.local_nodes();
    let cpus = context.machine.topology.cpus_of(nodes).iter().count();
    if cpus == 0 || group.len() <= cpus {
        return None;
    }
    let is_bound = group.iter().all(|placed| placed.cpu.bound() == Some(true));
    let (belong, effect, fix) = if is_bound {
        (
            "are bound to",
            "they wait for each other when all are busy",
            "start fewer workers, or bind to the socket",
        )
    } else {
        (
            "belong on",
            "binding all may slow them down",
            "start fewer workers before you bind them, or bind to the socket",
        )
    };
    let message = format!(
        "{} {belong} {}, which {} {cpus} CPUs: {effect}",
        group.names(),
        node_names(nodes),
        if nodes.len() == 1 { "has" } else { "have" },
    );
    let evidence = Evidence::from([
        ("nodes", Value::Nodes(nodes.clone())),
        ("processes", Value::Count(group.len())),
        ("cpu_count", Value::Count(cpus)),
    ]);
    // It is about the node: the processes themselves break nothing.
    let pids: Vec<Pid> = Vec::new();
    Some(Violation {
        pids,
        ..Violation::by(group, message, evidence, Remedy::in_words(fix))
    })
}
