//! More trainers and workers share a CPU quota of a control group (cpu.max, cpu.cfs_quota_us) than it has CPUs.
//!
//! Why it costs: when the quota of a period is used up, all threads of the group stop until the next period begins. A trainer
//! that is stopped keeps its GPU waiting, whichever node it is on.
//!
//! What it cannot know: which of the processes are busy. It counts every trainer and every worker as one. cpu.stat of the group
//! has the number of periods in which it was stopped (nr_throttled).
//!
//! What to do: request more CPUs for the container or the job, or start fewer workers.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Group, Rule, RuleContext, Violation};

pub(crate) const RULE: Rule = Rule {
    name: "cpu-quota",
    severity: Severity::Warning,
    text: include_str!("cpu_quota.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    let mut by_group: BTreeMap<(&str, u64), Vec<&PlacedProcess>> = BTreeMap::new();
    let with_gpu = context.judged().filter(|of| !of.membership.gpus.is_empty());
    for placed in with_gpu {
        if let Some(quota) = &placed.process.cpu_quota {
            let key = (quota.group.as_str(), quota.milli_cpus);
            by_group.entry(key).or_default().push(placed);
        }
    }
    let groups = by_group
        .into_iter()
        .filter_map(|((_, milli_cpus), processes)| {
            let is_crowded = processes.len() as u64 * 1000 > milli_cpus;
            let group = Group::new(processes).filter(|_| is_crowded)?;
            Some(violation(&group, milli_cpus))
        });
    groups.collect()
}

fn violation(group: &Group, milli_cpus: u64) -> Violation {
    let cpus = milli_cpus as f64 / 1000.0;
    let message = format!(
        "{} {} a CPU quota of {cpus} {}: all their threads stop when it is used up",
        group.names(),
        group.agree("has", "share"),
        if milli_cpus == 1000 { "CPU" } else { "CPUs" },
    );
    let message = match group.len() {
        1 => message.replace("all their threads", "all its threads"),
        _ => message,
    };
    let milli_cpus = usize::try_from(milli_cpus).unwrap_or(usize::MAX);
    let evidence = Evidence::from([
        ("processes", Value::Count(group.len())),
        ("quota_milli_cpus", Value::Count(milli_cpus)),
    ]);
    let remedy = Remedy::in_words(
        "request more CPUs (docker --cpus, the CPU limit of the pod), or start fewer workers",
    );
    Violation::by(group, message, evidence, remedy)
}
