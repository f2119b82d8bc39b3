//! The trainers of one job are all bound to one NUMA node, but their GPUs are attached to several nodes.
//!
//! Why it costs: the ranks of the other GPUs are remote, and all ranks share the CPUs and the memory of one node. This
//! happens if the launcher is bound instead of its ranks (numactl before torchrun), or if a tool treats every GPU as a
//! GPU of node 0.
//!
//! What it cannot know: where trainers that are not bound will run. They do not count.
//!
//! What to do: bind each rank separately, not the launcher.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::{CpuPlacement, Locality};
use crate::audit::rules::{CPUSET_FIRST, Group, Rule, RuleContext, Violation, node_names};
use crate::machine::Rank;
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "ranks-on-one-node",
    severity: Severity::Error,
    text: include_str!("ranks_on_one_node.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let jobs = context.jobs();
    jobs.iter()
        .filter_map(|job| violation(context, job))
        .collect()
}

/// The variable that has the rank of a trainer, as the table of ranks needs it.
fn source_of_rank(rank: &PlacedProcess) -> Option<&'static str> {
    let ranks = rank.membership.ranks;
    ranks.local_rank.or(ranks.rank).map(|rank| rank.source)
}

fn violation(context: &RuleContext, job: &Group) -> Option<Violation> {
    let bound_to: NodeSet = job
        .iter()
        .flat_map(|rank| rank.cpu.affinity_nodes.iter().copied())
        .collect();
    let is_all_bound = job.iter().all(|rank| rank.cpu.affinity_nodes.len() == 1);
    let is_all_known = job.iter().all(|rank| !rank.local_nodes.is_empty());
    let is_job_split = job
        .iter()
        .any(|rank| rank.local_nodes.is_disjoint(job.local_nodes()));
    // If all nodes are of one socket, only cpu-near applies.
    let remote = Some(CpuPlacement::NonLocal(Locality::Remote));
    let is_any_remote = job.iter().any(|rank| rank.cpu.placement == remote);
    if !(is_all_bound && bound_to.len() == 1 && is_all_known && is_job_split && is_any_remote) {
        return None;
    }
    let home = job.home_nodes();
    let message = format!(
        "{} of one job are all bound to {}, but their GPUs are attached to {}",
        job.names(),
        node_names(&bound_to),
        node_names(&home),
    );
    let evidence = Evidence::from([
        ("home_nodes", Value::Nodes(home)),
        ("cpu_nodes", Value::Nodes(bound_to)),
    ]);
    let is_blocked = job.iter().any(|rank| context.is_blocked_by_cpuset(rank));
    let sources: BTreeSet<Option<&str>> = job.iter().map(source_of_rank).collect();
    let remedy = Remedy::in_words(if is_blocked {
        CPUSET_FIRST
    } else if sources.contains(&Some(Rank::ELIMINATION)) {
        "rank 0 starts the other ranks and passes its own binding on: start all ranks with a launcher that binds each one \
         (torchrun), or let each rank bind itself before it allocates memory"
    } else if sources.len() == 1 && sources.first().is_some_and(Option::is_some) {
        "bind each rank to the node of its own GPU, not the launcher: numa-audit --remedies prints a table of the ranks"
    } else {
        "bind each rank to the node of its own GPU, not the launcher"
    });
    Some(Violation::by(job, message, evidence, remedy))
}
