//! Judges a machine: which process works for which GPU, which nodes that GPU is attached to, and whether threads and memory
//! are there too. [`audit`] and [`map`] are functions of their arguments: they use no files, no terminal and no clock.

pub(crate) mod entries;
pub(crate) mod expectation;
pub(crate) mod finding;
pub(crate) mod hint;
pub(crate) mod machine;
pub(crate) mod place;
pub(crate) mod placed;
pub(crate) mod rules;
#[cfg(test)]
mod scale_tests;
pub(crate) mod summary;
pub(crate) mod target;
#[cfg(test)]
mod window_tests;

use std::collections::BTreeSet;

use crate::audit::machine::AuditedMachine;
use crate::audit::place::Hints;
pub(crate) use crate::audit::placed::PlacedProcess;
use crate::compare::expected;
use crate::document::{Document, Expected, Finding};
pub(crate) use crate::jobs::scope::Scope;
use crate::machine::{Fact, Machine};
pub(crate) use crate::units::Limits;

/// What to audit, and how to judge.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// How much memory may be off the local nodes.
    pub(crate) limits: Limits,
    /// Which processes.
    pub(crate) scope: Scope,
    /// Home nodes from the command line.
    pub(crate) hints: Hints,
    /// Whether another node of the same socket is as bad as another socket.
    pub(crate) strict_node: bool,
    /// What the machine must equal; `None` without --expect.
    pub(crate) expected: Option<Expected>,
    /// The names of rules that are not applied. Verdicts do not depend on them.
    pub(crate) allowed: BTreeSet<&'static str>,
}

/// Audits what was observed.
pub(crate) fn audit(machine: Machine, settings: &Settings) -> Document {
    document(machine, settings, Form::Audit)
}

/// The map of a machine: the document without processes, with the findings that are about the machine.
pub(crate) fn map(machine: Machine, settings: &Settings) -> Document {
    document(machine, settings, Form::Map)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Audit,
    Map,
}

fn document(machine: Machine, settings: &Settings, form: Form) -> Document {
    let mut placed = AuditedMachine::new(machine, settings);
    if form == Form::Map {
        // A map is not about processes.
        placed
            .gaps
            .retain(|gap| !matches!(gap.fact, Fact::DeviceProcesses(_)));
    }
    let is_open = placed.gaps.iter().any(|gap| gap.fact.leaves_open());
    let is_partial = placed.is_partial(settings);
    let asked = placed.asked.clone();
    let is_wanted = |finding: &Finding| {
        let is_asked =
            finding.gpus.is_empty() || finding.gpus.iter().any(|gpu| asked.contains(gpu));
        !settings.allowed.contains(finding.rule.as_str()) && (!finding.pids.is_empty() || is_asked)
    };
    let (mut findings, job_groups) = placed.check(settings.limits);
    findings.retain(is_wanted);
    rules::say_once(&mut findings);
    let mut document = placed.into_document(findings, &job_groups, form);
    if let Some(expected) = &settings.expected {
        let comparison = expected::compare(expected, &document, is_partial, is_open);
        expectation::add(comparison, &mut document, is_wanted);
    }
    document
}
