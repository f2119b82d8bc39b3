//! Something is not as the file of --expect says that it must be.
//!
//! Why it costs: bindings, rank tables and topology files are made for one shape of machine and silently do something
//! else on another: a BIOS with another number of nodes per socket, a GPU that fell off the bus, a rank that lost its
//! binding.
//!
//! What it cannot know: which of the two is right. It compares, of a machine, the NUMA nodes with their CPUs, distances
//! and memory (which may differ by 1 percent), the GPUs by PCI address with their index, name and home nodes, and
//! kernel.numa_balancing and vm.zone_reclaim_mode; not the host's name, the kernel's and the driver's version nor
//! GPUs' UUIDs. Of each trainer and worker in the file it compares the like one here (matched as by numa-audit diff):
//! the nodes of its GPU, of the CPUs that it may run on and of its memory policy, whether that binds it, and that its
//! verdict is no worse. Processes that the file does not have may be there. Of a topology file it compares the home
//! node of each GPU alone. What the file does not tell is not compared.
//!
//! What to do: mend the machine or the job; where the change is meant, write a new file with --json or topology --json.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::compare::expected::{Difference, Unexpected};

pub(crate) const RULE: Rule = Rule {
    name: "not-as-expected",
    severity: Severity::Error,
    text: include_str!("not_as_expected.rs"),
    check,
};

/// It needs the document, which the rules do not see: [`violations`] is called when the document is made.
fn check(_: &RuleContext) -> Vec<Violation> {
    Vec::new()
}

pub(super) fn violations(unexpected: &[Unexpected]) -> Vec<Violation> {
    unexpected.iter().map(violation).collect()
}

fn violation(unexpected: &Unexpected) -> Violation {
    let all = |text: fn(&Difference) -> &str| {
        let differences = unexpected.differences.iter();
        let texts: Vec<String> = differences
            .map(|of| format!("{}: {}", of.what, text(of)))
            .collect();
        Value::Text(texts.join("; "))
    };
    Violation {
        gpus: unexpected.gpus.clone(),
        pids: unexpected.pids.clone(),
        message: unexpected.to_string(),
        evidence: Evidence::from([
            ("expected", all(|of| &of.expected)),
            ("found", all(|of| &of.found)),
        ]),
        remedy: Remedy::in_words(
            "put it right or, where the change is meant, write a new file for --expect with --json or topology --json",
        ),
    }
}
