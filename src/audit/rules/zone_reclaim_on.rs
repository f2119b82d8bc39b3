//! vm.zone_reclaim_mode is on: if a node is full, the kernel drops page cache before it uses memory of another node.
//!
//! Why it costs: data loaders lose cached files, and allocations wait until pages are reclaimed.
//!
//! What it cannot know: whether the administrators measured it on this machine.
//!
//! What to do: sysctl vm.zone_reclaim_mode=0, which is the default of the kernel.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "zone-reclaim-on",
    severity: Severity::Warning,
    text: include_str!("zone_reclaim_on.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let mode = context.machine.kernel.zone_reclaim_mode.unwrap_or(0);
    if mode == 0 || context.machine.topology.nodes().len() < 2 {
        return Vec::new();
    }
    vec![Violation::of_machine(
        format!(
            "vm.zone_reclaim_mode is {mode}: a full node drops page cache before memory of another node is used"
        ),
        Evidence::from([("zone_reclaim_mode", Value::Count(mode as usize))]),
        Remedy {
            text: "turn it off, unless it was measured to help".to_owned(),
            commands: vec!["sysctl vm.zone_reclaim_mode=0".to_owned()],
            note: String::new(),
        },
    )]
}
