//! A process runs on another NUMA node of the socket that its GPU is attached to (sub-NUMA clustering, NPS2, NPS4). Or its
//! CPU affinity allows such nodes and nodes of another socket, but not the CPU on which it last ran.
//!
//! Why it costs: nothing crosses the sockets, but the path to the GPU and to memory is longer than necessary, by a few
//! percent.
//!
//! What it cannot know: how much this costs on this machine. With --strict-node a near node counts as remote.
//!
//! What to do: bind the process to the node of its GPU, if that node has enough CPUs for everything that runs there.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Severity, Value};
use crate::audit::place::{CpuPlacement, Locality};
use crate::audit::rules::{Group, Rule, RuleContext, Running, Violation, bind, node_names};
use crate::units::{NodeId, NodeSet};

pub(crate) const RULE: Rule = Rule {
    name: "cpu-near",
    severity: Severity::Warning,
    text: include_str!("cpu_near.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let groups = context.groups_by(|placed| is_near(placed) || is_unsettled(placed), reach);
    let violations = groups.iter().map(|group| {
        let running = Running::off_local_nodes(context, group);
        let message = group.each_part(|part| clause(context, part));
        let mut evidence = running.evidence();
        evidence.insert("home_nodes", Value::Nodes(group.home_nodes()));
        evidence.insert("cpu_nodes", Value::Nodes(running.nodes));
        Violation::by(group, message, evidence, bind(context, group))
    });
    violations.collect()
}

fn is_near(placed: &PlacedProcess) -> bool {
    placed.cpu.placement == Some(CpuPlacement::NonLocal(Locality::Near))
}

/// Whether it may run on near and on remote nodes, and has not run since.
fn is_unsettled(placed: &PlacedProcess) -> bool {
    placed.cpu.placement == Some(CpuPlacement::Unsettled) && placed.is_bound_elsewhere()
}

/// Where a process may run that is bound away from its local nodes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// On near nodes. All that are not bound have this too.
    Near,
    /// On remote nodes too; it last ran on a near one.
    Remote,
    /// On remote nodes too; the CPU on which it last ran is not allowed any more.
    RemoteUnsettled,
}

fn reach(placed: &PlacedProcess) -> Reach {
    let is_remote = |node: &NodeId| placed.locality(*node) == Some(Locality::Remote);
    let allowed = &placed.cpu.affinity_nodes;
    if !placed.is_bound_elsewhere() || !allowed.iter().any(is_remote) {
        Reach::Near
    } else if is_near(placed) {
        Reach::Remote
    } else {
        Reach::RemoteUnsettled
    }
}

fn clause(context: &RuleContext, part: &Group) -> String {
    let running = Running::off_local_nodes(context, part);
    if reach(part.first()) == Reach::Near {
        let (runs, basis) = (running.predicate(part), running.basis(part));
        format!("{} {runs} of the same socket ({basis})", part.but())
    } else {
        outside_socket(part, &running.nodes)
    }
}

/// `GPU 0 is attached to node 0, but trainer 100 is bound to nodes 1-2, of which node 1 is of the same socket: it last ran there`
fn outside_socket(group: &Group, nodes: &NodeSet) -> String {
    let is_near = |node: &&NodeId| group.first().locality(**node) == Some(Locality::Near);
    let near: NodeSet = nodes.iter().filter(is_near).copied().collect();
    let they = group.agree("it", "they");
    let ran = match reach(group.first()) {
        Reach::RemoteUnsettled => {
            format!("the CPU on which {they} last ran is not allowed any more")
        }
        _ => format!("{they} last ran there"),
    };
    format!(
        "{} {} bound to {}, of which {} {} of the same socket: {ran}",
        group.but(),
        group.agree("is", "are"),
        node_names(nodes),
        node_names(&near),
        if near.len() == 1 { "is" } else { "are" },
    )
}
