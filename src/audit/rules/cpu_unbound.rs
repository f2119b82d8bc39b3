//! A process runs on the NUMA node of its GPU now, but is not bound to it: its CPU affinity also allows other nodes. Or the
//! affinity allows the node and others, and does not allow the CPU on which the process last ran.
//!
//! Why it costs: the scheduler may move the process at any time. Memory that it then allocates on the other node stays
//! there.
//!
//! What it cannot know: how often the process moves. --for measures where it uses its CPU time.
//!
//! What to do: bind the process when it starts.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::place::{Binding, CpuPlacement};
use crate::audit::rules::{
    CpuTimeShare, Group, Rule, RuleContext, Violation, bind, evidence, in_parentheses, node_names,
};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "cpu-unbound",
    severity: Severity::Warning,
    text: include_str!("cpu_unbound.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() {
        return Vec::new();
    }
    let groups = context.groups_by(
        |placed| is_unbound(placed) || is_unsettled(placed),
        is_unsettled,
    );
    let violations = groups.iter().map(|group| {
        let allowed = allowed(group);
        let time = CpuTimeShare::of(context, group, |placed, node| placed.is_local(node));
        let message = clause(context, group);
        let mut facts = Evidence::from([
            ("home_nodes", Value::Nodes(group.home_nodes())),
            ("affinity_nodes", Value::Nodes(allowed)),
        ]);
        facts.extend(evidence(time.as_ref()));
        Violation::by(group, message, facts, bind(context, group))
    });
    violations.collect()
}

/// The nodes that the processes may run on.
fn allowed(group: &Group) -> NodeSet {
    let nodes = group.iter().flat_map(|placed| &placed.cpu.affinity_nodes);
    nodes.copied().collect()
}

fn clause(context: &RuleContext, part: &Group) -> String {
    if is_unsettled(part.first()) {
        return format!(
            "{} {} not bound there: {} CPU affinity allows {} and not the CPU on which {} last ran",
            part.but(),
            part.agree("is", "are"),
            part.agree("its", "their"),
            node_names(&allowed(part)),
            part.agree("it", "they"),
        );
    }
    let time = CpuTimeShare::of(context, part, |placed, node| placed.is_local(node));
    format!(
        "{} but {} not bound there: {} CPU affinity allows {}{}",
        runs_local(part),
        part.agree("is", "are"),
        part.agree("its", "their"),
        node_names(&allowed(part)),
        in_parentheses(time.as_ref().map(|time| time.sentence(part, "there"))),
    )
}

fn is_unbound(placed: &PlacedProcess) -> bool {
    placed.cpu.placement == Some(CpuPlacement::Unbound)
}

/// Whether it may run on local nodes and on others, and has not run since.
fn is_unsettled(placed: &PlacedProcess) -> bool {
    placed.cpu.placement == Some(CpuPlacement::Unsettled)
        && placed.cpu.binding == Some(Binding::Partial)
}

/// `GPU 0 is attached to node 0; trainer 100 runs there` or, without a GPU, `process 250 runs on node 1`
fn runs_local(group: &Group) -> String {
    let names = group.names();
    if group.gpus().is_empty() {
        format!("{names} runs on {}", node_names(group.local_nodes()))
    } else {
        let run = group.agree("runs", "run");
        let there = if group.parts().len() == 1 {
            "there"
        } else {
            "on the nodes of their own GPUs"
        };
        format!("{}; {names} {run} {there}", group.gpus_attached())
    }
}
