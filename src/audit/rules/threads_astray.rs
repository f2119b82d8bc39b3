//! The main thread of a process is bound to the node of its GPU, but other threads are not.
//!
//! Why it costs: each thread has a CPU affinity of its own. Threads that exist when a process is bound late keep the old
//! affinity, and taskset without -a moves only the main thread. Threads that run elsewhere allocate memory there, and
//! their accesses cross the interconnect.
//!
//! What it cannot know: what these threads do. Some only wait, and NCCL binds its own threads near the GPU. The likely
//! reason is derived from the start times and the masks of the threads. It stays unknown if unbound threads have started
//! other threads since.
//!
//! What to do: bind the process before it starts its threads. taskset -a moves the threads that exist now.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::place::{CpuPlacement, PartialBinding, UnboundThreads};
use crate::audit::rules::{
    CpuTimeShare, Group, Rule, RuleContext, Violation, bind, evidence, in_parentheses,
};

pub(crate) const RULE: Rule = Rule {
    name: "threads-astray",
    severity: Severity::Warning,
    text: include_str!("threads_astray.rs"),
    check,
};

fn check(context: &RuleContext) -> Vec<Violation> {
    if context.is_single_node() {
        return Vec::new();
    }
    let pattern = |placed: &PlacedProcess| unbound_threads(placed)?.pattern;
    let groups = context.groups_by(|placed| unbound_threads(placed).is_some(), pattern);
    let violations = groups
        .iter()
        .map(|group| violation(context, group, pattern(group.first())));
    violations.collect()
}

/// The unbound threads of a process whose main thread is bound; `None` if there are none.
fn unbound_threads(placed: &PlacedProcess) -> Option<&UnboundThreads> {
    let unbound = placed.cpu.threads.as_ref()?.unbound.as_ref()?;
    let is_main_bound = placed.cpu.placement == Some(CpuPlacement::Bound);
    (is_main_bound && unbound.count > 0).then_some(unbound)
}

fn violation(context: &RuleContext, group: &Group, pattern: Option<PartialBinding>) -> Violation {
    let unbound = UnboundOfGroup::of(group);
    let message = group.each_part(|part| clause(context, part, pattern));
    let time = CpuTimeShare::of(context, group, |placed, node| !placed.is_local(node));
    let mut facts = Evidence::from([
        ("home_nodes", Value::Nodes(group.home_nodes())),
        ("threads", Value::Count(unbound.total)),
        ("threads_loose", Value::Count(unbound.count)),
        ("threads_astray", Value::Count(unbound.astray)),
        ("loose_names", Value::Text(list(&unbound.names, usize::MAX))),
    ]);
    facts.extend(pattern.map(|pattern| ("pattern", Value::Text(pattern.to_string()))));
    facts.extend(evidence(time.as_ref()));
    Violation::by(group, message, facts, bind(context, group))
}

fn clause(context: &RuleContext, part: &Group, pattern: Option<PartialBinding>) -> String {
    let UnboundOfGroup {
        total,
        count,
        astray,
        names,
    } = UnboundOfGroup::of(part);
    let time = CpuTimeShare::of(context, part, |placed, node| !placed.is_local(node));
    let ran_elsewhere = match &time {
        Some(time) => {
            let time = time.sentence(part, "elsewhere");
            format!("{astray} ran elsewhere most of the time; {time}")
        }
        None => format!("{astray} last ran elsewhere"),
    };
    format!(
        "{} {} bound there only in part{}: {count} of {total} threads may run elsewhere{}, and {ran_elsewhere}",
        part.but(),
        part.agree("is", "are"),
        match pattern {
            Some(PartialBinding::LeaderOnly) =>
                " (only the main thread, as by taskset -p without -a)",
            Some(PartialBinding::LateBinding) =>
                " (not the threads that are older than the binding)",
            None => "",
        },
        in_parentheses((!names.is_empty()).then(|| list(&names, NAMES_IN_MESSAGE))),
    )
}

/// The threads of a group of processes.
struct UnboundOfGroup<'a> {
    total: usize,
    count: usize,
    astray: usize,
    names: BTreeMap<&'a str, usize>,
}

impl<'a> UnboundOfGroup<'a> {
    fn of(group: &Group<'a>) -> Self {
        let threads = || {
            let processes = group.iter();
            processes.filter_map(|placed| placed.cpu.threads.as_ref())
        };
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for unbound in group.iter().filter_map(unbound_threads) {
            for (name, count) in &unbound.names {
                *names.entry(name).or_default() += count;
            }
        }
        let unbound = group.iter().filter_map(unbound_threads);
        Self {
            total: threads().map(|of| of.total).sum(),
            count: unbound.map(|of| of.count).sum(),
            astray: threads().filter_map(|of| of.astray).sum(),
            names,
        }
    }
}

/// More names make the message unreadable.
const NAMES_IN_MESSAGE: usize = 4;

/// `python3 ×12, pt_autograd ×8, cuda-EvtHandlr, 3 others`: the most frequent names first, and the number of other threads.
fn list(names: &BTreeMap<&str, usize>, most: usize) -> String {
    let mut by_count: Vec<(&str, usize)> =
        names.iter().map(|(name, count)| (*name, *count)).collect();
    // The sort is stable: names with the same count stay in the order of names.
    by_count.sort_by_key(|(_, count)| Reverse(*count));
    let mut items: Vec<String> = by_count
        .iter()
        .take(most)
        .map(|(name, count)| match count {
            1 => (*name).to_owned(),
            several => format!("{name} ×{several}"),
        })
        .collect();
    let others: usize = by_count.iter().skip(most).map(|(_, count)| count).sum();
    if others > 0 {
        items.push(format!("{others} others"));
    }
    items.join(", ")
}
