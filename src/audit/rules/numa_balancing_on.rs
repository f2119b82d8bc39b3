//! The kernel's NUMA balancing is on beside processes that are bound.
//!
//! Why it costs: it unmaps pages to see who uses them, and moves them after threads. Bound processes gain nothing by it;
//! the kernel's own documentation and vendors of GPUs say to turn it off for them.
//!
//! What it cannot know: what else runs here that gains by it.
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

fn check(context: &RuleContext) -> Vec<Violation> {
    const MOVES_TO_USERS: u32 = 1;
    let mode = context.settings.numa_balancing.unwrap_or(0);
    let is_bound = context
        .judged()
        .any(|audited| audited.cpu.bound == Some(true));
    if mode & MOVES_TO_USERS == 0 || context.is_single_node() || !is_bound {
        return Vec::new();
    }
    vec![Violation::of_machine(
        "kernel.numa_balancing is on: it costs bound processes page faults, and moves pages under them".to_owned(),
        Evidence::from([("numa_balancing", Value::Count(mode as usize))]),
        Remedy {
            text: "turn it off, if nothing else here needs it".to_owned(),
            commands: vec!["sysctl kernel.numa_balancing=0".to_owned()],
            note: "it does not move pages back".to_owned(),
        },
    )]
}
