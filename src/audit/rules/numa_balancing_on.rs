//! Automatic NUMA balancing of the kernel is on, while processes are bound.
//!
//! Why it costs: the kernel unmaps pages to see which threads use them, and moves pages to these threads. Bound processes
//! gain nothing from it. The kernel's documentation and GPU vendors recommend turning it off for such jobs.
//!
//! What it cannot know: whether other programs on this machine gain from it.
//!
//! What to do: sysctl kernel.numa_balancing=0.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "numa-balancing-on",
    severity: Severity::Warning,
    text: include_str!("numa_balancing_on.rs"),
    check,
};

/// The bit of kernel.numa_balancing that moves pages to the nodes of their threads (`NUMA_BALANCING_NORMAL`).
const NORMAL: u32 = 1;

fn check(context: &RuleContext) -> Vec<Violation> {
    let mode = context.machine.kernel.numa_balancing.unwrap_or(0);
    let is_any_bound = context
        .judged()
        .any(|placed| placed.cpu.bound() == Some(true));
    if mode & NORMAL == 0 || context.is_single_node() || !is_any_bound {
        return Vec::new();
    }
    vec![Violation::of_machine(
        "kernel.numa_balancing is on: it causes page faults in bound processes and may move their pages".to_owned(),
        Evidence::from([("numa_balancing", Value::Count(mode as usize))]),
        Remedy {
            text: "turn it off, unless another program on this machine needs it".to_owned(),
            commands: vec!["sysctl kernel.numa_balancing=0".to_owned()],
            note: "this does not move pages back".to_owned(),
        },
    )]
}
