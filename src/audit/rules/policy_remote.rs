//! The memory policy of a process binds or prefers nodes none of which is local or the memory of its GPU itself, and at least
//! one of which is on another socket.
//!
//! Why it costs: memory that the process allocates from now on goes to these nodes, wherever the process runs.
//!
//! What it cannot know: policies of single mappings (mbind). It judges the policy of the main thread. --json also has the
//! policies of other threads that could be read.
//!
//! What to do: start the process with a policy for its GPU's node (numactl --membind). The policy of a running process
//! cannot be changed from outside.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::Locality;
use crate::audit::rules::{
    Group, POLICY_STAYS, Rule, RuleContext, Violation, bind, by_hand, gpu_names, node_names,
};
use crate::machine::{Mode, Policy};
use crate::units::NodeSet;

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
    let is_broken = |placed: &PlacedProcess| {
        policy(placed).is_some_and(|policy| {
            let nodes = policy.nodes.iter();
            let localities = nodes.map(|node| placed.memory_locality(*node));
            // A node that does not exist here has no locality: the policy is not known to leave the local nodes.
            localities.clone().all(|far| far > Some(Locality::Local))
                && localities
                    .into_iter()
                    .any(|far| far == Some(Locality::Remote))
        })
    };
    let groups = context.groups_by(is_broken, mode);
    let violations = groups.iter().map(|group| {
        let nodes = policy_nodes(group);
        let mode = mode(group.first()).unwrap_or_default();
        let message = group.each_part(|part| {
            let nodes = policy_nodes(part);
            let names = node_names(&nodes);
            let (have, gpu_memory) = (part.agree("has", "have"), gpu_memory(context, &nodes));
            let but = part.but();
            format!("{but} {have} the memory policy {mode} for {names}{gpu_memory}")
        });
        let evidence = Evidence::from([
            ("home_nodes", Value::Nodes(group.home_nodes())),
            ("policy", Value::Text(mode)),
            ("policy_nodes", Value::Nodes(nodes)),
        ]);
        Violation::by(group, message, evidence, remedy(context, group))
    });
    violations.collect()
}

fn policy_nodes(group: &Group) -> NodeSet {
    let policies = group.iter().filter_map(policy);
    policies
        .flat_map(|policy| policy.nodes.iter().copied())
        .collect()
}

/// `, which is memory of GPU 0 itself and has no CPUs`, or nothing.
fn gpu_memory(context: &RuleContext, nodes: &NodeSet) -> String {
    let gpus = nodes.iter().filter_map(|node| context.gpu_of_memory(*node));
    let gpus: Vec<u32> = gpus.collect::<BTreeSet<_>>().into_iter().collect();
    match (gpus.is_empty(), nodes.len()) {
        (true, _) => String::new(),
        (false, 1) => format!(
            ", which is memory of {} itself and has no CPUs",
            gpu_names(&gpus)
        ),
        (false, _) => format!(" (memory of {} itself, without CPUs)", gpu_names(&gpus)),
    }
}

/// The options of frameworks that bind CPUs do not change the policy: only numactl does.
fn remedy(context: &RuleContext, group: &Group) -> Remedy {
    if context.is_blocked_by_cpuset(group.first()) {
        return bind(context, group);
    }
    let numactl = by_hand(context, group);
    let words = if context.launchers(group.first()).next().is_none() {
        format!("start it with {numactl}")
    } else {
        format!(
            "start the launcher without a memory policy, and each rank with the policy of its GPU's node (here: {numactl})"
        )
    };
    Remedy {
        text: words,
        commands: Vec::new(),
        note: POLICY_STAYS.to_owned(),
    }
}

/// The memory policy, if it names the nodes to allocate on.
fn policy(placed: &PlacedProcess) -> Option<&Policy> {
    let policy = &placed.memory.pages.as_ref()?.policy;
    let names_nodes = matches!(policy.mode, Mode::Bind | Mode::Prefer | Mode::PreferMany);
    (names_nodes && !policy.nodes.is_empty() && !policy.truncated).then_some(policy)
}

fn mode(placed: &PlacedProcess) -> Option<String> {
    policy(placed).map(|policy| policy.mode.to_string())
}
