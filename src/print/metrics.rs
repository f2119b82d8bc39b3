//! Prometheus's text format: gauges of one document.
//!
//! The set of series is constant, so that an alert does not depend on which series exist: each verdict and each rule is there
//! with 0 too. An unknown value has no series. Labels are from closed lists, or name a GPU: none names a process, a command, a
//! user or the host.

mod family;
mod gpus;
mod places;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use crate::document::rule::RuleText;
use crate::document::{Document, GpuEntry};
use crate::units::node_list;
use crate::words::{GapKind, Vocabulary};
use family::{Family, text};

/// What the metrics need besides the document.
#[derive(Debug)]
pub(crate) struct MetricsContext<'a> {
    /// All rules.
    pub(crate) rules: &'a [RuleText],
    /// How long the audit took. `None` where that means nothing: a recording was audited.
    pub(crate) duration: Option<Duration>,
    /// Whether metrics of a GPU name the job that uses it.
    pub(crate) by_job: bool,
}

/// The metrics of an audit.
pub(crate) fn metrics(document: &Document, context: &MetricsContext) -> String {
    let mut families = run(document, context);
    families.push(gaps(document));
    families.push(gpu_info(document));
    families.extend(gpus::families(document, context.by_job));
    families.push(findings(document, context.rules));
    text(&families)
}

/// What is known of the run itself.
fn run(document: &Document, context: &MetricsContext) -> Vec<Family> {
    let mut build = Family::new("build_info", "Version of the numa-audit that wrote this");
    build.add([("version", document.tool.version.as_str())], 1);
    let mut time = Family::new(
        "last_run_timestamp_seconds",
        "When the machine was looked at",
    );
    let recorded_at = document.host.recorded_at.as_deref();
    let recorded_at = recorded_at.and_then(|text| humantime::parse_rfc3339_weak(text).ok());
    if let Some(since) = recorded_at.and_then(|time| time.duration_since(UNIX_EPOCH).ok()) {
        time.add_plain(since.as_secs());
    }
    let mut duration = Family::new("last_run_duration_seconds", "How long the look took");
    if let Some(took) = context.duration {
        duration.add_plain(format!("{:.6}", took.as_secs_f64()));
    }
    let mut complete = Family::new(
        "complete",
        "1 if everything that uses a GPU could be judged",
    );
    if let Some(summary) = &document.summary {
        complete.add_plain(u8::from(summary.is_complete()));
    }
    vec![build, time, duration, complete]
}

fn gaps(document: &Document) -> Family {
    let mut gaps = Family::new("gaps", "Facts that could not be learnt");
    for (kind, word, _) in GapKind::WORDS {
        let of_kind = document.incomplete.iter().filter(|gap| gap.kind == *kind);
        gaps.add([("what", *word)], of_kind.count());
    }
    gaps
}

fn gpu_info(document: &Document) -> Family {
    let mut info = Family::new(
        "gpu_info",
        "A GPU and the NUMA node that it is attached to; always 1",
    );
    for gpu in &document.topology.gpus {
        let address = gpu.pci_bus_id.map(|address| address.to_string());
        let labels = [
            ("gpu", gpu_label(gpu)),
            ("uuid", gpu.uuid.clone().unwrap_or_default()),
            ("pci_bus_id", address.unwrap_or_default()),
            ("name", gpu.name.clone().unwrap_or_default()),
            ("home_nodes", node_list(&gpu.home_nodes)),
            ("home_source", gpu.home_source.as_str().to_owned()),
        ];
        info.add(labels, 1);
    }
    info
}

fn gpu_label(gpu: &GpuEntry) -> String {
    gpu.index.to_string()
}

fn findings(document: &Document, rules: &[RuleText]) -> Family {
    // A finding may be more or less severe than its rule usually is.
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for rule in rules {
        counts.insert((rule.name, rule.severity.as_str()), 0);
    }
    for finding in &document.findings {
        let count = counts.entry((&finding.rule, finding.severity.as_str()));
        *count.or_default() += 1;
    }
    let mut findings = Family::new("findings", "Findings, by rule");
    for ((rule, severity), count) in counts {
        findings.add([("rule", rule), ("severity", severity)], count);
    }
    findings
}
