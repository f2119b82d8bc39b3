//! Binding everyone to the node of their GPU puts, or would put, more processes on it than it has CPUs.
//!
//! Why it costs: processes that wait for a CPU lose more than remote memory costs: pinning can hurt.
//!
//! What it cannot know: how busy each of them is. It counts trainers and workers, each as one.
//!
//! What to do: start fewer workers before you bind, or bind to the socket instead of the node.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::context::gpus_of;
use crate::audit::rules::remedy::cpus_of;
use crate::audit::rules::words::{on_nodes, who};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::units::NodeSet;

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
    let mut by_nodes: BTreeMap<&NodeSet, Vec<&PlacedProcess>> = BTreeMap::new();
    let with_place = context
        .judged()
        .filter(|of| !of.membership.gpus.is_empty() && !of.local_nodes.is_empty());
    for audited in with_place {
        by_nodes
            .entry(&audited.local_nodes)
            .or_default()
            .push(audited);
    }
    let broken = by_nodes.into_iter().filter_map(|(nodes, group)| {
        let cpus = cpus_of(nodes, context.topology).iter().count();
        let is_there_already = group.iter().all(|audited| audited.cpu.bound == Some(true));
        let (are, so) = match is_there_already {
            true => (
                "are bound to",
                "they wait for each other where all are busy",
            ),
            false => ("belong on", "binding them all can hurt"),
        };
        (group.len() > cpus && cpus > 0).then(|| Violation {
            gpus: gpus_of(&group),
            pids: Vec::new(),
            message: format!(
                "{} {are} {}, which {} CPUs: {so}",
                who(&group),
                on_nodes(nodes),
                has(nodes, cpus)
            ),
            evidence: Evidence::from([
                ("nodes", Value::Nodes(nodes.clone())),
                ("processes", Value::Count(group.len())),
                ("cpu_count", Value::Count(cpus)),
            ]),
            remedy: Remedy::in_words(match is_there_already {
                true => "start fewer workers, or bind to the socket",
                false => "start fewer workers before you bind, or bind to the socket",
            }),
        })
    });
    broken.collect()
}

fn has(nodes: &NodeSet, cpus: usize) -> String {
    let verb = if nodes.len() == 1 { "has" } else { "have" };
    format!("{verb} {cpus}")
}
