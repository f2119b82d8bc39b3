//! A memory policy that binds or prefers nodes that are not the GPU's.
//!
//! Why it costs: what the process will touch goes there too, wherever it runs.
//!
//! What it cannot know: policies that mappings have of their own (mbind). It judges the main thread's; --json has those of
//! other threads too, where they could be read. A GPU's own memory can be bound to as well (Grace): whether that was meant
//! it cannot know.
//!
//! What to do: start it with the policy of its GPU's node (numactl --membind). Nobody else can change a running
//! process's policy.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::verdict::Locality;
use crate::audit::rules::remedy::{bind, by_hand};
use crate::audit::rules::words::{each, on_nodes, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::machine::memory::{Mode, Policy};
use crate::units::{NodeId, NodeSet, ranges};

pub(crate) const RULE: Rule = Rule {
    name: "policy-remote",
    severity: Severity::Error,
    text: include_str!("policy_remote.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() {
        return Vec::new();
    }
    let is_broken = |audited: &PlacedProcess| {
        let policy = chosen(audited);
        let is_off = |node: &NodeId| {
            let is_remote = audited.locality(*node) == Some(Locality::Remote);
            is_remote || context.gpu_of_memory(*node).is_some()
        };
        let is_known = !audited.local_nodes.is_empty();
        policy.is_some_and(|policy| is_known && policy.nodes.iter().all(is_off))
    };
    let mode = |audited: &PlacedProcess| chosen(audited).map(|policy| policy.mode.to_string());
    let groups = context.groups_by(is_broken, mode);
    let broken = groups.into_iter().map(|group| {
        let nodes = group
            .iter()
            .filter_map(|audited| chosen(audited))
            .flat_map(|policy| &policy.nodes);
        let nodes: NodeSet = nodes.copied().collect();
        let mode = mode(group[0]).unwrap_or_default();
        let own = nodes.iter().filter_map(|node| context.gpu_of_memory(*node));
        let own = ranges(own.collect::<BTreeSet<_>>());
        let whose = match own.is_empty() {
            true => String::new(),
            false => format!(", the memory of GPU {own} itself: no CPU is there"),
        };
        Violation::by(
            &group,
            format!(
                "{} {} the memory policy {mode} for {}{whose}",
                subject(&group),
                each(&group, "has", "have"),
                on_nodes(&nodes),
            ),
            Evidence::from([
                ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
                ("policy", Value::Text(mode)),
                ("policy_nodes", Value::Nodes(nodes)),
            ]),
            remedy(context, &group),
        )
    });
    broken.collect()
}

/// A framework's binding of CPUs changes no policy.
fn remedy(context: &RuleContext, group: &[&PlacedProcess]) -> Remedy {
    if context.is_walled(group[0]) {
        return bind(context, group);
    }
    let with = by_hand(context, &group[0].local_nodes);
    let words = match context.launchers(group[0]).is_empty() {
        true => format!("start it with {with}"),
        false => format!(
            "start its launcher without a policy of its own, and each rank with that of its GPU's node: here {with}"
        ),
    };
    Remedy {
        text: words,
        commands: Vec::new(),
        note: "a running process keeps its policy".to_owned(),
    }
}

/// The policy, if it names nodes to take memory from.
fn chosen(audited: &PlacedProcess) -> Option<&Policy> {
    let policy = &audited.memory.pages.as_ref()?.policy;
    let names = matches!(policy.mode, Mode::Bind | Mode::Prefer | Mode::PreferMany);
    (names && !policy.nodes.is_empty() && !policy.truncated).then_some(policy)
}
