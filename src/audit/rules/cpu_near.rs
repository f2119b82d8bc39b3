//! A process runs on another NUMA node of the socket that its GPU is attached to (sub-NUMA clustering, NPS2, NPS4).
//!
//! Why it costs: nothing crosses the sockets, but the path to the GPU and to memory is longer than necessary, by a few
//! percent.
//!
//! What it cannot know: how much this costs on this machine. With --strict-node a near node counts as remote.
//!
//! What to do: bind the process to the node of its GPU, if that node has enough CPUs for everything that runs there.

use crate::audit::finding::{Severity, Value};
use crate::audit::place::{CpuPlacement, Locality};
use crate::audit::rules::{Rule, RuleContext, Running, Violation, bind};

pub(crate) const RULE: Rule = Rule {
    name: "cpu-near",
    severity: Severity::Warning,
    text: include_str!("cpu_near.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let near = Some(CpuPlacement::NonLocal(Locality::Near));
    let groups = context.groups(|placed| placed.cpu.placement == near);
    let violations = groups.iter().map(|group| {
        let running = Running::off_local_nodes(context, group);
        let message = group.each_part(|part| {
            let running = Running::off_local_nodes(context, part);
            format!(
                "{} {} of the same socket ({})",
                part.but(),
                running.predicate(part),
                running.basis(part),
            )
        });
        let mut evidence = running.evidence();
        evidence.insert("home_nodes", Value::Nodes(group.home_nodes()));
        evidence.insert("cpu_nodes", Value::Nodes(running.nodes));
        Violation::by(group, message, evidence, bind(context, group))
    });
    violations.collect()
}
