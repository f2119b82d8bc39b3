//! The rules, one file each, named as the rule. `context.rs` says how to write one.

// What rules use.
pub(crate) mod context;
mod cpu_time_share;
mod group;
mod launcher_words;
mod non_local_memory;
mod one_core;
mod remedy;
mod running;
mod words;

// The rules. A new rule has a line here and one in `RULES`.
mod binding_not_in_effect;
mod cpu_near;
mod cpu_quota;
mod cpu_remote;
mod cpu_unbound;
mod cpus_crowded;
mod cpus_isolated;
mod cpuset_excludes_gpu;
mod gpu_node_unknown;
mod gpus_on_several_nodes;
mod memory_in_swap;
mod memory_near;
mod memory_remote;
mod node_crowded;
mod node_without_gpus;
mod not_as_expected;
mod numa_balancing_on;
mod one_node_on_many_sockets;
mod pinned_remote;
mod policy_interleaved;
mod policy_remote;
mod ranks_on_one_node;
mod sources_disagree;
mod stray_context;
mod threads_astray;
mod worker_split;
mod zone_reclaim_on;

pub(crate) use context::{PlacedMachine, RuleContext};
pub(crate) use cpu_time_share::{CpuTimeShare, evidence};
pub(crate) use group::Group;
pub(crate) use launcher_words::words_of;
pub(crate) use non_local_memory::{NonLocalMemory, bytes_at_least};
pub(crate) use remedy::{
    CPUSET_FIRST, POLICY_STAYS, bind, bind_and_move, binding_variables, by_hand,
};
pub(crate) use running::Running;
pub(crate) use words::{gpu_names, gpus_attached, in_parentheses, node_names, process_names};

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::audit::finding::{Evidence, NOTE_SEPARATOR, Remedy, Severity};
use crate::compare::Unexpected;
use crate::document::Finding;
use crate::document::rule::RuleText;
use crate::units::Pid;

/// One rule. `numa-audit rules` lists them.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its name in the output and in options.
    pub(crate) name: &'static str,
    /// The severity of its findings, if they do not have their own.
    pub(crate) severity: Severity,
    /// The text of its file, which begins with the explanation.
    text: &'static str,
    check: fn(&RuleContext) -> Vec<Violation>,
}

/// All rules. Findings of the same severity are reported in this order: those that cost most come first.
pub(crate) static RULES: &[Rule] = &[
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
    gpus_on_several_nodes::RULE,
    memory_in_swap::RULE,
    cpus_isolated::RULE,
    cpu_quota::RULE,
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
    /// The rule with this name; `None` if there is no such rule.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.name == name)
    }

    /// The doc comment of the rule's file, by paragraph: what it finds, why it costs, what it cannot know, what to do.
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
    pub(crate) fn text(&self) -> RuleText {
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
            severity,
        } = violation;
        let evidence = evidence.into_iter();
        Finding {
            rule: self.name.to_owned(),
            severity: severity.unwrap_or(self.severity).into(),
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

/// Processes, a GPU or a machine that breaks a rule.
struct Violation {
    gpus: Vec<u32>,
    pids: Vec<Pid>,
    message: String,
    evidence: Evidence,
    remedy: Remedy,
    /// If it is not that of the rule.
    severity: Option<Severity>,
}

impl Violation {
    /// By a group of processes.
    fn by(group: &Group, message: String, evidence: Evidence, remedy: Remedy) -> Self {
        Self {
            gpus: group.gpus(),
            pids: group.pids(),
            message,
            evidence,
            remedy,
            severity: None,
        }
    }

    /// By a GPU, with or without processes.
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
            severity: None,
        }
    }
}

/// Applies every rule. The worst findings come first.
pub(crate) fn check(context: &RuleContext) -> Vec<Finding> {
    let findings = RULES.iter().flat_map(|rule| {
        let violations = (rule.check)(context).into_iter();
        violations.map(move |violation| {
            let severity = violation.severity.unwrap_or(rule.severity);
            (severity, rule.finding(violation))
        })
    });
    let mut findings: Vec<(Severity, Finding)> = findings.collect();
    // The sort is stable: findings of one severity stay in the order of the rules.
    findings.sort_by_key(|(severity, _)| *severity);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Removes a note from a finding if earlier findings have the same note for all of its processes.
pub(crate) fn say_once(findings: &mut [Finding]) {
    let mut said: BTreeMap<String, BTreeSet<Pid>> = BTreeMap::new();
    for finding in findings {
        let Some(note) = finding.note.clone() else {
            continue;
        };
        let fix = finding.fix().to_owned();
        let new = |part: &&str| {
            let pids = said.get(*part);
            let is_said = |pid| pids.is_some_and(|said| said.contains(pid));
            finding.pids.is_empty() || !finding.pids.iter().all(is_said)
        };
        let parts: Vec<&str> = note.split(NOTE_SEPARATOR).filter(new).collect();
        finding.note = (!parts.is_empty()).then(|| parts.join(NOTE_SEPARATOR));
        finding.remedy = match &finding.note {
            Some(note) => format!("{fix}{NOTE_SEPARATOR}{note}"),
            None => fix,
        };
        for part in parts {
            let pids = said.entry(part.to_owned()).or_default();
            pids.extend(&finding.pids);
        }
    }
}

/// The findings of not-as-expected.
pub(crate) fn unexpected(unexpected: &[Unexpected]) -> Vec<Finding> {
    let violations = not_as_expected::violations(unexpected).into_iter();
    violations
        .map(|violation| not_as_expected::RULE.finding(violation))
        .collect()
}

/// The texts of all rules.
pub(crate) fn texts() -> Vec<RuleText> {
    RULES.iter().map(Rule::text).collect()
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
    fn a_note_is_given_once_for_a_process() {
        let finding = |pids: &[u32], note: &str| Finding {
            pids: pids.iter().copied().map(Pid).collect(),
            note: Some(note.to_owned()),
            remedy: format!("bind it; {note}"),
            ..zone_reclaim_on::RULE.finding(Violation::of_machine(
                String::new(),
                Evidence::new(),
                Remedy::in_words("bind it"),
            ))
        };
        let mut findings = [
            finding(&[1, 2], "a"),
            finding(&[2], "a; b"),
            finding(&[2, 3], "b"),
            finding(&[3], "a"),
            finding(&[2], "b"),
        ];
        say_once(&mut findings);
        let remedies = findings.map(|of| of.remedy);
        let expected = [
            "bind it; a",
            "bind it; b",
            "bind it; b",
            "bind it; a",
            "bind it",
        ];
        assert_eq!(remedies, expected);
    }

    #[test]
    fn names_are_unique() {
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
