//! GPU and memory NUMA nodes do NOT match: more of the working memory of a process than the limits allow is on another
//! socket than its GPU.
//!
//! Why it costs: data in this memory crosses the interconnect on its way to the GPU, whichever node the process runs on. A
//! copy from there to the GPU was measured to be three times slower.
//!
//! What it cannot know: which pages are used. Page cache and mapped files do not count. Pages that several processes share
//! count in each of them.
//!
//! What to do: bind the process before it starts, because memory stays on the node where it was first touched.
//! migratepages moves pages that are not pinned.

use crate::audit::finding::Severity;
use crate::audit::place::{Locality, Verdict};
use crate::audit::rules::{NonLocalMemory, Rule, RuleContext, Violation, bind_and_move};

pub(crate) const RULE: Rule = Rule {
    name: "memory-remote",
    severity: Severity::Error,
    text: include_str!("memory_remote.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let mismatch = Some(Verdict::Mismatch);
    let groups = context.groups(|placed| placed.memory.verdict == mismatch);
    let violations = groups.iter().map(|group| {
        let memory = NonLocalMemory::of(group, Locality::Remote);
        let has_gpu = !group.gpus().is_empty();
        let message = format!(
            "{} and memory NUMA nodes do NOT match: {}",
            if has_gpu { "GPU" } else { "CPU" },
            group.each_part(|part| NonLocalMemory::of(part, Locality::Remote).sentence(part))
        );
        let remedy = bind_and_move(context, group);
        Violation::by(group, message, memory.evidence(group), remedy)
    });
    violations.collect()
}
