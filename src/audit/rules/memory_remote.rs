//! GPU and memory NUMA nodes do NOT match: more of a process's working memory than the limits allow lies on another
//! socket than its GPU's.
//!
//! Why it costs: every read of it crosses the interconnect, whichever node the process runs on; a copy to the GPU from
//! there was seen to be three times slower.
//!
//! What it cannot know: which pages are used. Page cache and mapped files do not count. Pages that several processes
//! share count in each.
//!
//! What to do: memory lies where it was first touched, so that a process has to be bound before it begins. migratepages
//! moves what is not pinned.

use crate::audit::finding::{Severity, Value};
use crate::audit::place::verdict::{Locality, Verdict};
use crate::audit::rules::context::gpus_of;
use crate::audit::rules::off_memory::OffMemory;
use crate::audit::rules::remedy::bind_and_move;
use crate::audit::rules::{Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "memory-remote",
    severity: Severity::Error,
    text: include_str!("memory_remote.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let mismatch = Some(Verdict::Mismatch);
    let groups = context.groups(|audited| audited.memory.verdict == mismatch);
    let broken = groups.into_iter().map(|group| {
        let off = OffMemory::of(&group, Locality::Remote);
        let mut evidence = off.evidence();
        evidence.insert("home_nodes", Value::Nodes(group[0].home_nodes.clone()));
        let side = if gpus_of(&group).is_empty() {
            "CPU"
        } else {
            "GPU"
        };
        Violation::by(
            &group,
            format!(
                "{side} and memory NUMA nodes do NOT match: {}",
                off.sentence(&group)
            ),
            evidence,
            bind_and_move(context, &group, &off.from),
        )
    });
    broken.collect()
}
