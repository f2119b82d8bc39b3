//! A trainer has GPUs on several NUMA nodes, and its CPUs or its pinned memory are on the nodes of some of them only. Each GPU
//! is judged apart: the others are fed from elsewhere. The verdict is at-risk at best.
//!
//! Why it costs: no place is right for all GPUs of such a process. Data for the GPUs of the other nodes crosses the interconnect
//! on every step.
//!
//! What it cannot know: which thread feeds which GPU. A process that may run on the nodes of all its GPUs is not reported. Its
//! other memory is compared with the nodes of all its GPUs together, and so are its workers.
//!
//! What to do: start one process for each node, or each GPU, and bind each to its node.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::{FedFromElsewhere, MemoryKind};
use crate::audit::rules::{Group, Rule, RuleContext, Violation, gpu_names, node_names};
use crate::units::{NodeSet, ranges};

pub(crate) const RULE: Rule = Rule {
    name: "gpus-on-several-nodes",
    severity: Severity::Warning,
    text: include_str!("gpus_on_several_nodes.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let trainers = context.trainers();
    let fed = trainers.filter_map(|placed| Some((placed, placed.fed_from_elsewhere.as_ref()?)));
    fed.filter_map(|(placed, fed)| violation(placed, fed))
        .collect()
}

fn violation(placed: &PlacedProcess, fed: &FedFromElsewhere) -> Option<Violation> {
    let group = Group::new(vec![placed])?;
    let gpus = fed.gpus();
    let pinned = pinned_nodes(placed);
    let mut why = Vec::new();
    if !fed.by_cpus.is_empty() {
        why.push(format!(
            "its CPU affinity allows {}",
            node_names(&placed.cpu.affinity_nodes)
        ));
    }
    if !fed.by_pinned.is_empty() {
        why.push(format!("its pinned memory is on {}", node_names(&pinned)));
    }
    let message = format!(
        "{} feeds {} from other nodes than theirs: its GPUs are attached to {}, {}",
        group.names(),
        gpu_names(&gpus),
        node_names(&placed.home_nodes),
        why.join(", and "),
    );
    let mut evidence = Evidence::from([
        ("home_nodes", Value::Nodes(placed.home_nodes.clone())),
        ("fed_from_elsewhere", Value::Text(ranges(gpus))),
    ]);
    if !fed.by_cpus.is_empty() {
        let nodes = placed.cpu.affinity_nodes.clone();
        evidence.insert("affinity_nodes", Value::Nodes(nodes));
    }
    if !fed.by_pinned.is_empty() {
        evidence.insert("pinned_nodes", Value::Nodes(pinned));
    }
    let remedy = Remedy::in_words(
        "start one process for each node with the GPUs of that node (CUDA_VISIBLE_DEVICES), and bind each to it",
    );
    Some(Violation::by(&group, message, evidence, remedy))
}

fn pinned_nodes(placed: &PlacedProcess) -> NodeSet {
    let pages = placed.memory.pages.as_ref();
    let pinned = pages.and_then(|pages| pages.by_kind.get(&MemoryKind::Pinned));
    pinned
        .into_iter()
        .flat_map(|of| of.keys().copied())
        .collect()
}
