//! One NUMA node with the CPUs of several sockets: node interleaving in the firmware, or numa=off.
//!
//! Why it costs: the sockets are still there, and so is the interconnect, but the kernel spreads pages over all of them
//! and nobody can place anything. Every verdict here is void.
//!
//! What it cannot know: which of the two it is, and where a GPU hangs.
//!
//! What to do: turn node interleaving off in the firmware (also called "NUMA: disabled"), and numa=off in the kernel's
//! command line.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "one-node-on-many-sockets",
    severity: Severity::Warning,
    text: include_str!("one_node_on_many_sockets.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let Some(sockets) = context
        .settings
        .sockets_of_single_node
        .filter(|count| *count > 1)
    else {
        return Vec::new();
    };
    vec![Violation::of_machine(
        format!(
            "one NUMA node has the CPUs of {sockets} sockets: placement is hidden from the kernel, and these verdicts are void"
        ),
        Evidence::from([("sockets", Value::Count(sockets))]),
        Remedy::in_words(
            "turn off node interleaving in the firmware, and numa=off in the kernel's command line",
        ),
    )]
}
