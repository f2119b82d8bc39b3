//! The rules, a file for each, named as the rule. A further rule is a file here and a line in [`RULES`].

pub mod binding_not_in_effect;
pub mod context;
pub mod cpu_near;
pub mod cpu_remote;
pub mod cpu_unbound;
pub mod cpus_crowded;
pub mod cpuset_excludes_gpu;
pub mod gpu_node_unknown;
pub mod memory_near;
pub mod memory_remote;
pub mod node_crowded;
pub mod node_without_gpus;
pub mod not_as_expected;
pub mod numa_balancing_on;
pub mod off_cpus;
pub mod off_memory;
pub mod one_node_on_many_sockets;
pub mod pinned_remote;
pub mod policy_interleaved;
pub mod policy_remote;
pub mod ranks_on_one_node;
pub mod remedy;
pub mod sources_disagree;
pub mod spent;
pub mod stray_context;
pub mod threads_astray;
pub mod words;
pub mod worker_split;
pub mod zone_reclaim_on;

use serde_json::json;

use crate::audit::PlacedProcess;
use crate::audit::finding::{Evidence, Remedy, Severity};
use crate::audit::rules::context::{RuleContext, gpus_of, pids_of};
use crate::compare::expected::Unexpected;
use crate::document::Finding;
use crate::document::rule::RuleText;
use crate::units::Pid;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its public name.
    pub name: &'static str,
    /// How bad it is to break it.
    pub severity: Severity,
    /// Its file's text, which begins with what is to be said of it.
    text: &'static str,
    /// Finds those that break it.
    check: fn(&RuleContext) -> Vec<Violation>,
}

/// All rules. Of equally severe ones those that cost most come first.
pub static RULES: &[Rule] = &[
    not_as_expected::RULE,
    cpuset_excludes_gpu::RULE,
    ranks_on_one_node::RULE,
    binding_not_in_effect::RULE,
    cpu_remote::RULE,
    memory_remote::RULE,
    pinned_remote::RULE,
    worker_split::RULE,
    policy_remote::RULE,
    one_node_on_many_sockets::RULE,
    gpu_node_unknown::RULE,
    sources_disagree::RULE,
    cpus_crowded::RULE,
    stray_context::RULE,
    threads_astray::RULE,
    cpu_near::RULE,
    memory_near::RULE,
    cpu_unbound::RULE,
    numa_balancing_on::RULE,
    zone_reclaim_on::RULE,
    policy_interleaved::RULE,
    node_crowded::RULE,
    node_without_gpus::RULE,
];

impl Rule {
    /// The rule of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.name == name)
    }

    /// What it finds, why that costs, what it cannot know and what to do: the doc comment of its file, a paragraph each.
    fn explanation(&self) -> Vec<String> {
        let lines = self.text.lines().map_while(|line| line.strip_prefix("//!"));
        let mut paragraphs = vec![String::new()];
        for line in lines.map(str::trim) {
            match paragraphs.last_mut() {
                Some(last) if !line.is_empty() => {
                    if !last.is_empty() {
                        last.push(' ');
                    }
                    last.push_str(line);
                }
                _ => paragraphs.push(String::new()),
            }
        }
        paragraphs
    }

    /// Its text, for `rules` and `explain`.
    pub fn text(&self) -> RuleText {
        RuleText {
            name: self.name,
            severity: self.severity.into(),
            explanation: self.explanation(),
        }
    }

    fn finding(&self, violation: Violation) -> Finding {
        let Violation {
            gpus,
            pids,
            message,
            evidence,
            remedy,
        } = violation;
        let evidence = evidence.into_iter();
        Finding {
            rule: self.name.to_owned(),
            severity: self.severity.into(),
            gpu: gpus.first().copied(),
            gpus,
            pids,
            message,
            evidence: evidence
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .collect(),
            remedy: remedy.to_string(),
            commands: remedy.commands,
            note: Some(remedy.note).filter(|note| !note.is_empty()),
        }
    }
}

/// The texts of all rules.
pub fn texts() -> Vec<RuleText> {
    RULES.iter().map(Rule::text).collect()
}

/// Processes that break a rule together, or GPUs or a machine that do, and what is to be said of it.
struct Violation {
    gpus: Vec<u32>,
    pids: Vec<Pid>,
    message: String,
    evidence: Evidence,
    remedy: Remedy,
}

impl Violation {
    /// By a group of processes.
    fn by(group: &[&PlacedProcess], message: String, evidence: Evidence, remedy: Remedy) -> Self {
        Self {
            gpus: gpus_of(group),
            pids: pids_of(group),
            message,
            evidence,
            remedy,
        }
    }

    /// By a GPU, whoever uses it.
    fn of_gpu(gpu: u32, message: String, evidence: Evidence, remedy: Remedy) -> Self {
        Self {
            gpus: vec![gpu],
            ..Self::of_machine(message, evidence, remedy)
        }
    }

    /// By the machine.
    fn of_machine(message: String, evidence: Evidence, remedy: Remedy) -> Self {
        Self {
            gpus: Vec::new(),
            pids: Vec::new(),
            message,
            evidence,
            remedy,
        }
    }
}

/// Applies every rule; the worst findings come first.
pub(crate) fn check(context: &RuleContext) -> Vec<Finding> {
    let violations = RULES.iter().flat_map(|rule| {
        let violations = (rule.check)(context).into_iter();
        violations.map(move |violation| (rule, violation))
    });
    let mut violations: Vec<(&Rule, Violation)> = violations.collect();
    // Stable: those of one severity stay in the order of the rules.
    violations.sort_by_key(|(rule, _)| rule.severity);
    let findings = violations.into_iter();
    findings
        .map(|(rule, violation)| rule.finding(violation))
        .collect()
}

/// The findings of the rule not-as-expected.
pub(crate) fn unexpected(unexpected: &[Unexpected]) -> Vec<Finding> {
    let violations = not_as_expected::violations(unexpected).into_iter();
    violations
        .map(|violation| not_as_expected::RULE.finding(violation))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_explains_itself() {
        for rule in RULES {
            let explanation = rule.explanation();
            let starts = [
                "",
                "Why it costs: ",
                "What it cannot know: ",
                "What to do: ",
            ];
            assert_eq!(explanation.len(), starts.len(), "{}", rule.name);
            for (paragraph, start) in explanation.iter().zip(starts) {
                assert!(paragraph.starts_with(start), "{}: {paragraph}", rule.name);
                assert!(paragraph.ends_with('.'), "{}: {paragraph}", rule.name);
            }
            let file = rule.name.replace('-', "_");
            assert!(rule.text.contains(&format!("{file}.rs")), "{}", rule.name);
        }
    }

    #[test]
    fn names_are_there_once() {
        for rule in RULES {
            assert!(
                std::ptr::eq(Rule::named(rule.name).unwrap(), rule),
                "{}",
                rule.name
            );
        }
        assert!(Rule::named("no-such-rule").is_none());
    }
}
