//! Memory of a process is in swap: more than the limits allow, of its working memory and its swap together.
//!
//! Why it costs: memory in swap is on no node. Each access to it waits for a disk, which is slower than remote memory by orders
//! of magnitude. A process that is bound to a full node swaps while other nodes have free memory.
//!
//! What it cannot know: shared memory in swap is not counted (VmSwap), and how often the memory is used. Memory that a process
//! never uses again costs nothing in swap.
//!
//! What to do: free memory on the node, or let the process use memory of another node too.

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation, node_names};
use crate::machine::Mode;
use crate::units::{Bytes, NodeSet};

pub(crate) const RULE: Rule = Rule {
    name: "memory-in-swap",
    severity: Severity::Warning,
    text: include_str!("memory_in_swap.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let is_broken = |placed: &PlacedProcess| {
        swapped(placed).is_some_and(|(swap, all)| context.limits.exceeds(swap, all))
    };
    let groups = context.groups_by(is_broken, bound_nodes);
    let violations = groups.iter().map(|group| {
        let sizes: Vec<(Bytes, Bytes)> = group.iter().filter_map(swapped).collect();
        let most = sizes.iter().max().copied().unwrap_or_default();
        let (swap, all) = most;
        let bound = bound_nodes(group.first());
        let why = bound.as_ref().map_or_else(String::new, |nodes| {
            format!(
                "; {} memory may only be on {}",
                group.agree("its", "their"),
                node_names(nodes)
            )
        });
        let message = format!(
            "{} {} {swap} in swap, {} of {} memory, on no node{why}",
            group.names(),
            group.agree("has", "have up to"),
            swap.percent_of(all),
            group.agree("its", "their"),
        );
        let mut evidence = Evidence::from([("most_swap_bytes", Value::Bytes(swap))]);
        evidence.extend(bound.map(|nodes| ("policy_nodes", Value::Nodes(nodes))));
        let remedy = Remedy::in_words(
            "free memory on the node, or start it with a policy that prefers the node (numactl --preferred) instead of \
             binding to it",
        );
        Violation::by(group, message, evidence, remedy)
    });
    violations.collect()
}

/// What is in swap, and that with the working memory. `None` if either is unknown.
fn swapped(placed: &PlacedProcess) -> Option<(Bytes, Bytes)> {
    let swap = placed.process.swap?;
    let pages = placed.memory.pages.as_ref()?;
    let working: Bytes = pages.by_node.values().copied().sum();
    Some((swap, [working, swap].into_iter().sum()))
}

/// The nodes that a policy binds the memory to.
fn bound_nodes(placed: &PlacedProcess) -> Option<NodeSet> {
    let policy = &placed.memory.pages.as_ref()?.policy;
    (policy.mode == Mode::Bind && !policy.truncated).then(|| policy.nodes.clone())
}
