//! GPU and CPU NUMA nodes do NOT match: a process runs, or may only run, on another socket than its GPU.
//!
//! Why it costs: every batch that the process prepares or sends crosses the interconnect between the sockets, and so does
//! every kernel launch. Measured losses are 19 to 30 % of throughput.
//!
//! What it cannot know: where a sleeping thread will run. Its last CPU may be out of date, so its CPU affinity counts
//! first. A process that is not bound may move at any moment. With --for, a process is remote if it used more than a
//! tenth of its CPU time on remote nodes. Whether a cpuset or the process itself set the affinity is only known if the
//! cpuset can be read.
//!
//! What to do: bind the process to the node of its GPU when it starts, before it allocates memory. taskset -a moves a
//! running process (without -a only its main thread), but not its memory.

use crate::audit::finding::{Severity, Value};
use crate::audit::place::{CpuPlacement, Locality};
use crate::audit::rules::{Rule, RuleContext, Running, Violation, bind};

pub(crate) const RULE: Rule = Rule {
    name: "cpu-remote",
    severity: Severity::Error,
    text: include_str!("cpu_remote.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let remote = Some(CpuPlacement::NonLocal(Locality::Remote));
    let groups = context.groups(|placed| placed.cpu.placement == remote);
    let violations = groups.iter().map(|group| {
        let running = Running::off_local_nodes(context, group);
        let clauses = group.each_part(|part| {
            let running = Running::off_local_nodes(context, part);
            let (runs, basis) = (running.predicate(part), running.basis(part));
            format!("{} {runs} ({basis})", part.but())
        });
        let message = format!("GPU and CPU NUMA nodes do NOT match: {clauses}");
        let mut evidence = running.evidence();
        evidence.insert("home_nodes", Value::Nodes(group.home_nodes()));
        evidence.insert("cpu_nodes", Value::Nodes(running.nodes));
        Violation::by(group, message, evidence, bind(context, group))
    });
    violations.collect()
}
