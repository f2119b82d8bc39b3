//! A worker runs on another socket than its trainer.
//!
//! Why it costs: its samples cross the interconnect to the trainer. If the trainer itself is on the wrong node, they cross
//! it a second time to the GPU.
//!
//! What it cannot know: where processes that are not bound will run next.
//!
//! What to do: bind the rank before it starts its workers. They inherit the binding.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Remedy, Severity, Value};
use crate::audit::rules::{Group, Rule, RuleContext, Running, Violation, bind, node_names};
use crate::units::{NodeSet, Pid};
use crate::words::Role;

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
    let key = |placed: &PlacedProcess| (trainer_nodes(context, placed), placed.cpu.nodes());
    let groups = context.groups_by(|placed| is_split(context, placed), key);
    groups
        .iter()
        .map(|group| violation(context, group))
        .collect()
}

fn trainer_nodes(context: &RuleContext, worker: &PlacedProcess) -> NodeSet {
    let trainer = context.trainer_of(worker);
    trainer.map(|of| of.cpu.nodes()).unwrap_or_default()
}

fn is_split(context: &RuleContext, placed: &PlacedProcess) -> bool {
    let (own, trainer) = (placed.cpu.nodes(), trainer_nodes(context, placed));
    let local = &placed.local_nodes;
    let is_known = !own.is_empty() && !trainer.is_empty() && !local.is_empty();
    // If the GPUs are on several nodes, the worker and the trainer may be on different ones.
    let is_right = own.is_subset(local) && trainer.is_subset(local);
    let is_apart = !own.iter().any(|node| context.is_near_any(*node, &trainer));
    placed.membership.role == Some(Role::Worker) && is_known && !is_right && is_apart
}

fn violation(context: &RuleContext, workers: &Group) -> Violation {
    let first = workers.first();
    let (own, trainer) = (first.cpu.nodes(), trainer_nodes(context, first));
    let message = workers.each_part(|part| clause(context, part, &own, &trainer));
    let running = Running::on(context, workers, own.clone());
    let mut evidence = running.evidence();
    evidence.insert("home_nodes", Value::Nodes(workers.home_nodes()));
    evidence.insert("worker_nodes", Value::Nodes(own));
    evidence.insert("trainer_nodes", Value::Nodes(trainer));
    let to_move = Group::new(non_local(context, workers));
    let remedy = Remedy {
        commands: to_move.map_or(Vec::new(), |group| bind(context, &group).commands),
        ..bind(context, workers)
    };
    Violation::by(workers, message, evidence, remedy)
}

fn clause(context: &RuleContext, part: &Group, own: &NodeSet, trainer: &NodeSet) -> String {
    let local = part.local_nodes();
    let is_crossed_twice = own.is_subset(local) && trainer.is_disjoint(local);
    let back = if is_crossed_twice {
        ", and cross it back to the GPU"
    } else {
        ""
    };
    let running = Running::on(context, part, own.clone());
    format!(
        "{} {} ({}), but {} on {}: samples cross the interconnect{back}",
        part.names(),
        running.predicate(part),
        running.basis(part),
        trainers_run(part),
        node_names(trainer),
    )
}

/// The trainers and workers that are not on their local nodes. A worker that is on the node of its GPU stays there.
fn non_local<'a>(context: &RuleContext<'a>, workers: &Group<'a>) -> Vec<&'a PlacedProcess> {
    trainers(workers)
        .into_iter()
        .filter_map(|pid| context.process(pid))
        .chain(workers.iter())
        .filter(|placed| !placed.cpu.nodes().is_subset(&placed.local_nodes))
        .collect()
}

fn trainers(workers: &Group) -> BTreeSet<Pid> {
    workers
        .iter()
        .filter_map(|worker| worker.membership.trainer)
        .collect()
}

/// `its trainer 100 runs`, `their trainers run`
fn trainers_run(workers: &Group) -> String {
    let trainers: Vec<Pid> = trainers(workers).into_iter().collect();
    match trainers.as_slice() {
        [pid] => format!("{} trainer {pid} runs", workers.agree("its", "their")),
        _ => "their trainers run".to_owned(),
    }
}
