//! vm.zone_reclaim_mode is on: a node that is full gives up page cache before memory of another node is taken.
//!
//! Why it costs: data loaders that read files lose their cache, and allocations wait for pages to be reclaimed.
//!
//! What it cannot know: whether this machine's administrators measured it.
//!
//! What to do: sysctl vm.zone_reclaim_mode=0, which is the kernel's default.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "zone-reclaim-on",
    severity: Severity::Warning,
    text: include_str!("zone_reclaim_on.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let mode = context.settings.zone_reclaim_mode.unwrap_or(0);
    if mode == 0 || context.topology.nodes().len() < 2 {
        return Vec::new();
    }
    vec![Violation::of_machine(
        format!(
            "vm.zone_reclaim_mode is {mode}: a full node gives up page cache before another node's memory is taken"
        ),
        Evidence::from([("zone_reclaim_mode", Value::Count(mode as usize))]),
        Remedy {
            text: "turn it off, unless it was measured to help".to_owned(),
            commands: vec!["sysctl vm.zone_reclaim_mode=0".to_owned()],
            note: String::new(),
        },
    )]
}
