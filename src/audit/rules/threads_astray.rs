//! A process's main thread is held on its GPU's nodes, and other threads are not.
//!
//! Why it costs: affinity is each thread's own. Threads that were there before a late binding keep the old one, and
//! taskset without -a moves the main thread alone; what runs elsewhere touches memory there and crosses the interconnect.
//!
//! What it cannot know: what these threads do. Some only wait; NCCL binds its own near the GPU by itself. How they came to
//! be loose it tells where their starts and the others' masks show it: threads made by loose ones later blur that.
//!
//! What to do: bind before the process starts its threads. taskset -a moves those that are there.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Severity, Value};
use crate::audit::place::cpu::Standing;
use crate::audit::place::threads::{LooseThreads, Pattern};
use crate::audit::rules::context::is_off;
use crate::audit::rules::remedy::bind;
use crate::audit::rules::spent::{Spent, evidence, in_brackets};
use crate::audit::rules::words::{each, subject};
use crate::audit::rules::{Rule, RuleContext, Violation};

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
    let loose = |audited: &PlacedProcess| {
        let loose = audited.cpu.threads.as_ref()?.loose.as_ref()?;
        let is_held = audited.cpu.standing == Some(Standing::Held);
        (is_held && loose.count > 0).then(|| loose.clone())
    };
    let pattern = |audited: &PlacedProcess| loose(audited)?.pattern;
    let groups = context.groups_by(|audited| loose(audited).is_some(), pattern);
    let broken = groups.into_iter().map(|group| {
        let threads = || {
            group
                .iter()
                .filter_map(|audited| audited.cpu.threads.as_ref())
        };
        let total: usize = threads().map(|threads| threads.total).sum();
        let astray: usize = threads().filter_map(|threads| threads.astray).sum();
        let all_loose: Vec<LooseThreads> = group.iter().filter_map(|of| loose(of)).collect();
        let count: usize = all_loose.iter().map(|loose| loose.count).sum();
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, count) in all_loose.iter().flat_map(|loose| &loose.names) {
            *names.entry(name).or_default() += count;
        }
        let pattern = pattern(group[0]);
        let spent = Spent::of(context, &group, is_off);
        let elsewhere = match &spent {
            Some(spent) => {
                let told = spent.told(&group, "elsewhere");
                format!(
                    "{astray} ran elsewhere most of the time; {} {told}",
                    each(&group, "it", "they")
                )
            }
            None => format!("{astray} last ran elsewhere"),
        };
        let mut facts = Evidence::from([
            ("home_nodes", Value::Nodes(group[0].home_nodes.clone())),
            ("threads", Value::Count(total)),
            ("threads_loose", Value::Count(count)),
            ("threads_astray", Value::Count(astray)),
            ("loose_names", Value::Text(listed(&names, usize::MAX))),
        ]);
        facts.extend(pattern.map(|pattern| ("pattern", Value::Text(pattern.to_string()))));
        facts.extend(evidence(spent.as_ref()));
        Violation::by(
            &group,
            format!(
                "{} {} held there {}: {count} of {total} threads may leave{}, {elsewhere}",
                subject(&group),
                each(&group, "is", "are"),
                match pattern {
                    Some(Pattern::LeaderOnly) =>
                        "by the main thread alone, as taskset -p without -a does it",
                    Some(Pattern::LateBinding) => "but for threads that are older than the binding",
                    None => "in part",
                },
                in_brackets((!names.is_empty()).then(|| listed(&names, NAMED))),
            ),
            facts,
            bind(context, &group),
        )
    });
    broken.collect()
}

/// How many names a sentence has room for.
const NAMED: usize = 4;

/// `python3 ×12, pt_autograd ×8, cuda-EvtHandlr`: the most frequent first, and how many threads the others are.
fn listed(names: &BTreeMap<&str, usize>, room: usize) -> String {
    let mut by_count: Vec<(&str, usize)> =
        names.iter().map(|(name, count)| (*name, *count)).collect();
    // Stable: those of one count stay by name.
    by_count.sort_by_key(|(_, count)| Reverse(*count));
    let told = by_count.iter().take(room).map(|(name, count)| match count {
        1 => (*name).to_owned(),
        several => format!("{name} ×{several}"),
    });
    let mut told: Vec<String> = told.collect();
    let others: usize = by_count.iter().skip(room).map(|(_, count)| count).sum();
    if others > 0 {
        told.push(format!("{others} others"));
    }
    told.join(", ")
}
