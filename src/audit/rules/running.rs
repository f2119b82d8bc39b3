//! Where a group of processes runs, and how that is known: the words and the evidence of cpu-remote, cpu-near and
//! worker-split.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Value};
use crate::audit::place::Binding;
use crate::audit::rules::{CpuTimeShare, Group, RuleContext, evidence, node_names};
use crate::units::NodeSet;

/// Where a group of processes runs.
pub(crate) struct Running {
    pub(crate) nodes: NodeSet,
    /// How many of the processes are bound there.
    bound: usize,
    bound_by: &'static str,
    time: Option<CpuTimeShare>,
}

impl Running {
    /// A group that runs on nodes that are not local.
    pub(crate) fn off_local_nodes(context: &RuleContext, group: &Group) -> Self {
        let bound: Vec<&PlacedProcess> = group
            .iter()
            .filter(|placed| placed.is_bound_elsewhere())
            .collect();
        Self {
            nodes: group.iter().flat_map(non_local_nodes).collect(),
            bound_by: bound_by(&bound),
            bound: bound.len(),
            time: CpuTimeShare::of(context, group, |placed, node| !placed.is_local(node)),
        }
    }

    /// A group that runs on these nodes, local or not.
    pub(crate) fn on(context: &RuleContext, group: &Group, nodes: NodeSet) -> Self {
        Self {
            bound: group.iter().filter(|placed| placed.cpu.is_fixed()).count(),
            bound_by: "by CPU affinity",
            time: CpuTimeShare::of(context, group, |_, node| nodes.contains(&node)),
            nodes,
        }
    }

    /// The predicate: `is bound to node 1`, `run on nodes 1-2`.
    pub(crate) fn predicate(&self, group: &Group) -> String {
        let verb = if self.bound == group.len() {
            group.agree("is bound to", "are bound to")
        } else {
            group.agree("runs on", "run on")
        };
        format!("{verb} {}", node_names(&self.nodes))
    }

    /// How that is known: `by CPU affinity`, `it last ran there; no CPU affinity binds it there`.
    pub(crate) fn basis(&self, group: &Group) -> String {
        let time = self.time.as_ref().map(|time| time.sentence(group, "there"));
        if self.bound == group.len() {
            return self.bound_by.to_owned();
        }
        if self.bound > 0 {
            let time = time.map_or(String::new(), |time| format!("; {time}"));
            let (bound, all) = (self.bound, group.len());
            let are = if bound == 1 { "is" } else { "are" };
            return format!("{bound} of {all} {are} bound there {}{time}", self.bound_by);
        }
        let they = group.agree("it", "they");
        let ran = time.unwrap_or_else(|| format!("{they} last ran there"));
        format!("{ran}; {}", unbound(group))
    }

    /// `bound`, and the share of CPU time where it was measured.
    pub(crate) fn evidence(&self) -> Evidence {
        let mut facts = Evidence::from([("bound", Value::Count(self.bound))]);
        facts.extend(evidence(self.time.as_ref()));
        facts
    }
}

/// What is known about the affinity of processes of which none is bound there.
fn unbound(group: &Group) -> String {
    let is_unknown = |placed: &&PlacedProcess| placed.cpu.affinity_nodes.is_empty();
    let unknown = group.iter().filter(is_unknown).count();
    if unknown == group.len() {
        return format!("{} CPU affinity is unknown", group.agree("its", "their"));
    }
    let known = if unknown > 0 { "known " } else { "" };
    let them = group.agree("it", "them");
    format!("no {known}CPU affinity binds {them} there")
}

/// The nodes of a process that are not local: those where it used CPU time during the window, else those that it is on.
fn non_local_nodes(placed: &PlacedProcess) -> NodeSet {
    match placed.cpu_time() {
        Some(time) if !placed.is_bound_elsewhere() => time
            .iter()
            .map(|(node, _)| node)
            .filter(|node| !placed.is_local(*node))
            .collect(),
        _ => placed.cpu.nodes(),
    }
}

/// What binds processes to nodes that are not local, as far as it is known.
fn bound_by(bound: &[&PlacedProcess]) -> &'static str {
    let is_cpuset_known = |placed: &&PlacedProcess| placed.cpu.cpuset_nodes.is_some();
    if bound.iter().any(|placed| placed.cpuset_excludes_cpus()) {
        "by the cpuset, which allows no local CPUs"
    } else if bound.iter().all(is_cpuset_known) {
        "by CPU affinity; the cpuset also allows local CPUs"
    } else {
        "by CPU affinity"
    }
}

impl PlacedProcess {
    /// Whether its affinity allows no local node.
    pub(crate) fn is_bound_elsewhere(&self) -> bool {
        self.cpu.binding == Some(Binding::Elsewhere)
    }
}
