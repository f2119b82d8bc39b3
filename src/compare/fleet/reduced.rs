//! What is kept of a document: bounded, however large the document is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use crate::compare::fleet::Outcome;
use crate::compare::fleet::facts::{Fact, facts};
use crate::compare::fleet::jobs::{JobKey, JobPart, parts};
use crate::document::{Document, FleetCounts, FleetFinding, FleetMachine, FleetSource, Summary};
use crate::words::{Severity, Verdict, Word};

/// Rules and GPUs of a machine that are kept.
const MOST: usize = 64;

/// A machine, as far as it matters for the view of many.
#[derive(Debug)]
pub(super) struct Reduced {
    /// See [`FleetMachine::name`].
    pub(super) name: String,
    hostname: Option<String>,
    pub(super) source: FleetSource,
    recorded_at: Option<String>,
    outcome: Outcome,
    verdict: Option<Verdict>,
    counts: Option<FleetCounts>,
    findings: Vec<FleetFinding>,
    /// The models of its GPUs; `None` where no GPU's model is known.
    pub(super) models: Option<Vec<String>>,
    pub(super) facts: BTreeMap<String, Fact>,
    pub(super) jobs: BTreeMap<JobKey, JobPart>,
}

impl Reduced {
    pub(super) fn of(document: &Document, source: &FleetSource, outcome: Outcome) -> Self {
        let host = &document.host;
        let hostname = host.hostname.as_deref().filter(|name| !name.is_empty());
        let hostname = hostname.map(short);
        let node = host.node_name.as_deref().filter(|name| !name.is_empty());
        let name = node.map(short).or_else(|| hostname.clone());
        let name = name.unwrap_or_else(|| nameless(source));
        let summary = document.summary.as_ref();
        Self {
            name,
            hostname,
            source: source.clone(),
            recorded_at: host.recorded_at.as_deref().map(short),
            outcome,
            verdict: summary.and_then(|of| of.verdict.known()),
            counts: summary.map(FleetCounts::from),
            findings: findings(document),
            models: models(document),
            facts: facts(document),
            jobs: parts(document.processes()),
        }
    }

    /// Of several documents of one machine the one with the greatest rank counts: an audit rather than a map, then the latest.
    pub(super) fn rank(&self) -> (bool, Option<SystemTime>, &FleetSource) {
        let time = self.recorded_at.as_deref();
        let time = time.and_then(|time| humantime::parse_rfc3339_weak(time).ok());
        (self.counts.is_some(), time, &self.source)
    }

    /// Its names: also without the domain.
    pub(super) fn is_called(&self) -> BTreeSet<&str> {
        let names = [Some(self.name.as_str()), self.hostname.as_deref()];
        let names = names.into_iter().flatten();
        names.flat_map(with_and_without_domain).collect()
    }

    pub(super) fn into_machine(self) -> FleetMachine {
        FleetMachine {
            name: self.name,
            hostname: self.hostname,
            source: self.source,
            recorded_at: self.recorded_at,
            failed: self.outcome.failed,
            complete: self.outcome.complete,
            verdict: self.verdict.map(Word::from),
            processes: self.counts,
            findings: self.findings,
        }
    }
}

fn with_and_without_domain(name: &str) -> [&str; 2] {
    let domain = name.find('.').unwrap_or(name.len());
    [name, &name[..domain]]
}

/// The name of a machine that has none: where its document was.
fn nameless(source: &FleetSource) -> String {
    let label = source.label.iter().map(|label| format!(", label {label}"));
    let line = source.line.filter(|line| *line > 1);
    let line = line.iter().map(|line| format!(", line {line}"));
    let place: String = label.chain(line).collect();
    format!("{}{place}", source.file)
}

impl From<&Summary> for FleetCounts {
    fn from(summary: &Summary) -> Self {
        Self {
            all: summary.processes,
            ok: summary.ok,
            at_risk: summary.at_risk,
            mismatch: summary.mismatch,
            unknown: summary.unknown,
        }
    }
}

/// Errors and warnings, one entry for each rule.
fn findings(document: &Document) -> Vec<FleetFinding> {
    let mut rules: BTreeMap<(Severity, String), (BTreeSet<u32>, usize)> = BTreeMap::new();
    for finding in &document.findings {
        let severity = finding.severity.known();
        let Some(severity) = severity.filter(|of| *of < Severity::Info) else {
            continue;
        };
        let (gpus, processes) = rules.entry((severity, short(&finding.rule))).or_default();
        gpus.extend(finding.gpu.iter().chain(&finding.gpus));
        *processes += finding.pids.len();
    }
    let findings = rules.into_iter().take(MOST);
    findings
        .map(|((severity, rule), (gpus, processes))| FleetFinding {
            severity,
            rule,
            gpus: gpus.into_iter().take(MOST).collect(),
            processes,
        })
        .collect()
}

fn models(document: &Document) -> Option<Vec<String>> {
    let gpus = &document.topology.gpus;
    let names: BTreeSet<&str> = gpus.iter().filter_map(|gpu| gpu.name.as_deref()).collect();
    let models = names.into_iter().take(MOST).map(short).collect();
    let is_known = |models: &Vec<String>| gpus.is_empty() || !models.is_empty();
    Some(models).filter(is_known)
}

/// A text of at most 128 letters. Of a longer one the beginning and a number that differs where the rest does.
pub(super) fn short(text: &str) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    const LONGEST: usize = 128;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some(_) => {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            let start: String = text.chars().take(LONGEST - 20).collect();
            format!("{start}… ({:016x})", hasher.finish())
        }
    }
}
