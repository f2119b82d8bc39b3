//! Trainers of one job whose GPUs hang on several nodes are all bound to one.
//!
//! Why it costs: the ranks of the other GPUs are remote, and all share one node's CPUs and memory. It is what a binding
//! of the launcher does to its ranks (numactl around torchrun), and what tools do that take every GPU for one of node 0.
//!
//! What it cannot know: of trainers that nothing holds, where they will be next; these do not count.
//!
//! What to do: bind each rank by itself, not the launcher.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::place::cpu::Standing;
use crate::audit::place::verdict::Locality;
use crate::audit::rules::context::{gpus_of, pids_of};
use crate::audit::rules::words::{on_nodes, who};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::units::NodeSet;

pub(crate) const RULE: Rule = Rule {
    name: "ranks-on-one-node",
    severity: Severity::Error,
    text: include_str!("ranks_on_one_node.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let broken = context.jobs().into_iter().filter_map(|job| {
        let bound_to: NodeSet = job.iter().flat_map(|rank| rank.cpu.affinity_nodes.clone()).collect();
        let is_all_bound = job.iter().all(|rank| rank.cpu.affinity_nodes.len() == 1);
        let first = &job[0].local_nodes;
        let is_known = job.iter().all(|rank| !rank.local_nodes.is_empty());
        let are_apart = job.iter().any(|rank| rank.local_nodes.is_disjoint(first));
        // Nodes of one socket are cpu-near's business.
        let is_far = job.iter().any(|rank| rank.cpu.standing == Some(Standing::Off(Locality::Remote)));
        let home: NodeSet = job.iter().flat_map(|rank| rank.home_nodes.clone()).collect();
        (is_all_bound && bound_to.len() == 1 && is_known && are_apart && is_far).then(|| Violation {
            gpus: gpus_of(&job),
            pids: pids_of(&job),
            message: format!(
                "{} of one job are all bound to {}, and their GPUs hang on {}",
                who(&job),
                on_nodes(&bound_to),
                on_nodes(&home),
            ),
            evidence: Evidence::from([
                ("home_nodes", Value::Nodes(home)),
                ("cpu_nodes", Value::Nodes(bound_to)),
            ]),
            remedy: Remedy::in_words(match job.iter().any(|rank| context.is_walled(rank)) {
                true => "no binding of its own can: see cpuset-excludes-gpu",
                false => "bind each rank to its own GPU's node, and not the launcher: numa-audit --remedies has a table of the ranks",
            }),
        })
    });
    broken.collect()
}
