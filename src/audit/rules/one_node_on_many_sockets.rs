//! A single NUMA node has the CPUs of several sockets: the firmware interleaves the nodes, or the kernel runs with numa=off.
//!
//! Why it costs: accesses still cross the interconnect between the sockets, but the kernel spreads pages over all sockets,
//! and no process can be placed. The verdicts on this machine mean nothing.
//!
//! What it cannot know: which of the two causes it is, and which socket a GPU is attached to.
//!
//! What to do: turn off node interleaving in the firmware (some firmware calls this "NUMA: disabled"), and remove numa=off
//! from the kernel command line.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "one-node-on-many-sockets",
    severity: Severity::Warning,
    text: include_str!("one_node_on_many_sockets.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let sockets = context.machine.kernel.sockets_of_single_node.unwrap_or(1);
    if sockets < 2 {
        return Vec::new();
    }
    vec![Violation::of_machine(
        format!(
            "a single NUMA node has the CPUs of {sockets} sockets: the kernel cannot distinguish the sockets, and the verdicts mean \
             nothing"
        ),
        Evidence::from([("sockets", Value::Count(sockets))]),
        Remedy::in_words(
            "turn off node interleaving in the firmware, and remove numa=off from the kernel command line",
        ),
    )]
}
