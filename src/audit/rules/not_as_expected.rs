//! The machine or the job differs from the file that --expect names.
//!
//! Why it costs: bindings, rank tables and topology files are made for one machine. On another one they silently do the
//! wrong thing: the BIOS has another number of nodes per socket, a GPU is missing, or a rank has lost its binding.
//!
//! What it cannot know: which side is right. Of a machine it compares NUMA nodes (CPUs, distances, and memory to within
//! 1 percent), GPUs (PCI address, index, name, home nodes), kernel.numa_balancing and vm.zone_reclaim_mode. It does not
//! compare the host name, the versions of kernel and driver, or GPU UUIDs. Each trainer and each worker in the file is
//! compared with the matching process here (matched as by numa-audit diff): the nodes of its GPU, of its CPU affinity and
//! of its memory policy, whether it is bound, and whether its verdict is worse. Processes that are not in the file are
//! ignored. Of a topology file only the home nodes of GPUs are compared. Of a plan (plan --format json) each rank is compared
//! with the trainer that has its number: its GPU, its CPU affinity, and the nodes of its memory policy. Its workers must be on
//! CPUs of the rank. Facts that are missing in the file are not compared.
//!
//! What to do: fix the machine or the job. If the change is intended, write a new file with --json, topology --json or
//! plan --format json.

use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Rule, RuleContext, Violation};
use crate::compare::{Difference, Unexpected};

pub(crate) const RULE: Rule = Rule {
    name: "not-as-expected",
    severity: Severity::Error,
    text: include_str!("not_as_expected.rs"),
    check,
};

/// It compares documents, which rules do not see: [`violations`] is called when the document has been made.
fn check(_: &RuleContext) -> Vec<Violation> {
    Vec::new()
}

pub(super) fn violations(unexpected: &[Unexpected]) -> Vec<Violation> {
    unexpected.iter().map(violation).collect()
}

fn violation(unexpected: &Unexpected) -> Violation {
    let listed = |side: fn(&Difference) -> &str| {
        let differences = unexpected.differences.iter();
        let values: Vec<String> = differences
            .map(|difference| format!("{}: {}", difference.what, side(difference)))
            .collect();
        Value::Text(values.join("; "))
    };
    Violation {
        severity: None,
        gpus: unexpected.gpus.clone(),
        pids: unexpected.pids.clone(),
        message: unexpected.to_string(),
        evidence: Evidence::from([
            ("expected", listed(|difference| &difference.expected)),
            ("found", listed(|difference| &difference.found)),
        ]),
        remedy: Remedy::in_words(
            "fix the machine or the job or, if the change is intended, write a new file for --expect",
        ),
    }
}
