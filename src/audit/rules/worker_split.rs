//! A worker runs on another socket than its trainer.
//!
//! Why it costs: its samples cross the interconnect to the trainer and, where that is on the wrong node itself, cross it
//! back to the GPU.
//!
//! What it cannot know: of processes that nothing holds, where they will be next.
//!
//! What to do: bind the rank before it starts its workers: they inherit that.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::context::{is_held, nodes_of};
use crate::audit::rules::remedy::bind;
use crate::audit::rules::spent::{Spent, evidence};
use crate::audit::rules::words::{held_or_seen, on_nodes, who};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::jobs::attribution::Role;
use crate::units::{NodeSet, Pid};

pub(crate) const RULE: Rule = Rule {
    name: "worker-split",
    severity: Severity::Error,
    text: include_str!("worker_split.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() {
        return Vec::new();
    }
    let trainer_nodes = |worker: &PlacedProcess| -> NodeSet {
        let trainer = worker
            .membership
            .trainer
            .and_then(|pid| context.process(pid));
        trainer.map(nodes_of).unwrap_or_default()
    };
    let is_split = |audited: &PlacedProcess| {
        let (own, trainers) = (nodes_of(audited), trainer_nodes(audited));
        let local = &audited.local_nodes;
        let is_known = !own.is_empty() && !trainers.is_empty() && !local.is_empty();
        // Who works for GPUs of several nodes may be on any of these.
        let is_right = own.is_subset(local) && trainers.is_subset(local);
        let is_apart = own
            .iter()
            .all(|node| !context.is_near_any(*node, &trainers));
        audited.membership.role == Some(Role::Worker) && is_known && !is_right && is_apart
    };
    let key = |audited: &PlacedProcess| (trainer_nodes(audited), nodes_of(audited));
    let groups = context.groups_by(is_split, key);
    let broken = groups.into_iter().map(|group| {
        let (trainers, own) = key(group[0]);
        let local = &group[0].local_nodes;
        let bound = group.iter().filter(|worker| is_held(worker)).count();
        // The workers are where the GPU is, and the trainer between them is not.
        let back = match own.is_subset(local) && trainers.is_disjoint(local) {
            true => ", and cross it back to the GPU",
            false => "",
        };
        let spent = Spent::of(context, &group, |_, node| own.contains(&node));
        let told = spent.as_ref().map(|spent| spent.told(&group, "there"));
        let mut facts = Evidence::from([
            ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
            ("worker_nodes", Value::Nodes(own.clone())),
            ("trainer_nodes", Value::Nodes(trainers.clone())),
            ("bound", Value::Count(bound)),
        ]);
        facts.extend(evidence(spent.as_ref()));
        Violation::by(
            &group,
            format!(
                "{} on {} ({}), and {} on {}: samples cross the interconnect{back}",
                who(&group),
                on_nodes(&own),
                held_or_seen(group.len(), bound, "bound there", told),
                theirs(&group),
                on_nodes(&trainers),
            ),
            facts,
            Remedy {
                commands: bind(context, &those_to_move(context, &group)).commands,
                ..bind(context, &group)
            },
        )
    });
    broken.collect()
}

/// Those of the workers and of their trainers that are off their local nodes: a worker that is where the GPU is stays there.
fn those_to_move<'a>(
    context: &RuleContext<'a>,
    workers: &[&'a PlacedProcess],
) -> Vec<&'a PlacedProcess> {
    let trainers: BTreeSet<Pid> = workers
        .iter()
        .filter_map(|of| of.membership.trainer)
        .collect();
    let trainers = trainers.into_iter().filter_map(|pid| context.process(pid));
    let all = trainers.chain(workers.iter().copied());
    all.filter(|of| !nodes_of(of).is_subset(&of.local_nodes))
        .collect()
}

fn theirs(workers: &[&PlacedProcess]) -> &'static str {
    let trainers: BTreeSet<_> = workers.iter().map(|of| of.membership.trainer).collect();
    match (workers.len(), trainers.len()) {
        (1, _) => "its trainer",
        (_, 1) => "their trainer",
        _ => "their trainers",
    }
}
