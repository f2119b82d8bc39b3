//! The threads of a process may run on several CPUs, all of which are isolated from the scheduler's load balancing
//! (isolcpus=, or an isolated cpuset partition), and most of them are on one.
//!
//! Why it costs: the scheduler does not spread threads over isolated CPUs. A thread stays on the CPU where it was started, so
//! that all threads share one CPU while the others are idle.
//!
//! What it cannot know: whether the process binds its threads one by one later. Threads that are bound to one CPU each are not
//! counted.
//!
//! What to do: give the process CPUs that are not isolated, or bind each thread to a CPU of its own.

use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity, Value};
use crate::audit::rules::{Group, Rule, RuleContext, Violation};
use crate::units::{Cpu, CpuSet};

pub(crate) const RULE: Rule = Rule {
    name: "cpus-isolated",
    severity: Severity::Warning,
    text: include_str!("cpus_isolated.rs"),
    check,
};

/// The processes with threads that may run on exactly these isolated CPUs.
#[derive(Default)]
struct IsolatedMask<'a> {
    processes: Vec<&'a PlacedProcess>,
    /// How many of these threads last ran on each CPU.
    threads: BTreeMap<Cpu, usize>,
}

fn check(context: &RuleContext) -> Vec<Violation> {
    let mut masks: BTreeMap<String, (CpuSet, IsolatedMask)> = BTreeMap::new();
    for placed in context.judged() {
        let isolated = isolated(context, placed);
        let mut counted: BTreeMap<String, (CpuSet, BTreeMap<Cpu, usize>)> = BTreeMap::new();
        for thread in placed.process.threads.iter().flatten() {
            let (Some(allowed), Some(last)) = (thread.affinity.as_deref(), thread.last_cpu) else {
                continue;
            };
            let topology = context.machine.topology;
            let online = allowed
                .iter()
                .filter(|cpu| topology.node_of(*cpu).is_some());
            let cpus: CpuSet = online.collect();
            let is_isolated = cpus.iter().all(|cpu| isolated.contains(cpu));
            if is_isolated && cpus.iter().nth(1).is_some() && cpus.contains(last) {
                let (_, threads) = counted
                    .entry(cpus.to_string())
                    .or_insert((cpus, BTreeMap::new()));
                *threads.entry(last).or_default() += 1;
            }
        }
        for (name, (cpus, threads)) in counted {
            let (_, mask) = masks.entry(name).or_insert((cpus, IsolatedMask::default()));
            mask.processes.push(placed);
            for (cpu, count) in threads {
                *mask.threads.entry(cpu).or_default() += count;
            }
        }
    }
    let masks = masks.into_values();
    masks
        .filter_map(|(cpus, mask)| violation(&cpus, mask))
        .collect()
}

/// The isolated CPUs of the machine, and those of the process's control group.
fn isolated(context: &RuleContext, placed: &PlacedProcess) -> CpuSet {
    let of_machine = context.machine.cpus.isolated.iter();
    let of_group = placed.process.cpuset.iter().filter(|of| of.is_isolated);
    of_machine
        .chain(of_group.map(|cpuset| &cpuset.cpus))
        .flat_map(CpuSet::iter)
        .collect()
}

fn violation(cpus: &CpuSet, mask: IsolatedMask) -> Option<Violation> {
    let group = Group::new(mask.processes)?;
    let all: usize = mask.threads.values().sum();
    let count = cpus.iter().count();
    // Threads that are spread were placed one by one.
    if mask.threads.len() >= count.min(all) {
        return None;
    }
    let used: CpuSet = mask.threads.keys().copied().collect();
    let ran = if mask.threads.len() == 1 {
        format!("all {all} threads last ran on CPU {used}")
    } else {
        let used_count = mask.threads.len();
        format!("the {all} threads last ran on {used_count} of them ({used})")
    };
    let message = format!(
        "{} may run on {count} CPUs ({cpus}), which are isolated: the scheduler does not spread threads over them; {ran}",
        group.names(),
    );
    let evidence = Evidence::from([
        ("affinity", Value::Cpus(cpus.clone())),
        ("used_cpus", Value::Cpus(used)),
        ("threads", Value::Count(all)),
    ]);
    let remedy = Remedy::in_words(
        "give it CPUs that are not isolated (isolcpus= of the kernel's command line, cpuset.cpus.partition of the control \
         group), or bind each thread to a CPU of its own",
    );
    Some(Violation::by(&group, message, evidence, remedy))
}
