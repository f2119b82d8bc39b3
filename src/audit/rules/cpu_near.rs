//! A process runs on another node of its GPU's socket (sub-NUMA clusters, NPS2 and NPS4).
//!
//! Why it costs: nothing crosses the sockets, and the way to the GPU and to memory is longer than it need be, by some
//! percent.
//!
//! What it cannot know: how much that costs on this machine. --strict-node takes near for remote.
//!
//! What to do: bind it to the GPU's own node, if that has CPUs enough for all that is to run there.

use crate::audit::finding::Severity;
use crate::audit::place::cpu::Standing;
use crate::audit::place::verdict::Locality;
use crate::audit::rules::off_cpus::OffCpus;
use crate::audit::rules::remedy::bind;
use crate::audit::rules::words::{on_nodes, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "cpu-near",
    severity: Severity::Warning,
    text: include_str!("cpu_near.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let near = Some(Standing::Off(Locality::Near));
    let groups = context.groups(|audited| audited.cpu.standing == near);
    let broken = groups.into_iter().map(|group| {
        let off = OffCpus::of(context, &group);
        Violation::by(
            &group,
            format!(
                "{} on {} of the same socket ({})",
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
