//! GPU and CPU NUMA nodes do NOT match: a process runs, or may only run, on another socket than its GPU's.
//!
//! Why it costs: every batch that it makes or sends crosses the interconnect between the sockets, and so does every
//! launch of a kernel. 19 to 30 % of throughput were measured.
//!
//! What it cannot know: where a thread last ran is old news while it sleeps, so that what it may do counts before that;
//! a process that nothing holds may be elsewhere a moment later. --for looks longer: then more than a tenth of the CPU
//! time that it used counts. Whether it chose its CPUs is told where its control group's cpuset can be read.
//!
//! What to do: bind it to the GPU's node at its start, before it touches memory. A running one moves with taskset -a
//! (without -a its main thread alone does), and its memory does not come along.

use crate::audit::finding::Severity;
use crate::audit::place::cpu::Standing;
use crate::audit::place::verdict::Locality;
use crate::audit::rules::off_cpus::OffCpus;
use crate::audit::rules::remedy::bind;
use crate::audit::rules::words::{on_nodes, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "cpu-remote",
    severity: Severity::Error,
    text: include_str!("cpu_remote.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let remote = Some(Standing::Off(Locality::Remote));
    let groups = context.groups(|audited| audited.cpu.standing == remote);
    let broken = groups.into_iter().map(|group| {
        let off = OffCpus::of(context, &group);
        Violation::by(
            &group,
            format!(
                "GPU and CPU NUMA nodes do NOT match: {} on {} ({})",
                subject(&group),
                on_nodes(&off.nodes),
                off.held(&group),
            ),
            off.evidence(&group),
            bind(context, &group),
        )
    });
    broken.collect()
}
