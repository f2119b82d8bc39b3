//! The JSON document, schema_version 1. Fields may be added; none is ever removed or changed.

pub mod escaped;
pub mod map;
pub mod process;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::audit::rules::{RULES, Rule};
use crate::audit::{Report, finding};
use crate::machine::kernel_settings::KernelSettings;
use crate::machine::window::{Counters, Window};
use crate::machine::{Host, Origin};
use crate::print::json::escaped::Escaped;
use crate::print::json::map::{TopologyJson, topology};
use crate::print::json::process::process;
use crate::units::NodeId;

/// Of the documents; raised when a field changes its meaning.
const SCHEMA_VERSION: u32 = 1;

/// The whole report.
pub fn report(report: &Report) -> String {
    document(&whole(report))
}

/// The same, piece by piece: of 300 processes the text is 0.5 MiB long.
///
/// # Errors
/// Those of writing.
pub fn write_report(report: &Report, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(Escaped(&mut out), &whole(report))?;
    out.write_all(b"\n")
}

fn whole(report: &Report) -> Document<'_> {
    Document {
        schema_version: SCHEMA_VERSION,
        tool: TOOL,
        host: host(&report.host),
        topology: topology(report),
        settings: settings(report.kernel),
        processes: Some(Processes(report)),
        findings: Some(report.findings.iter().map(finding).collect()),
        incomplete: incomplete(report),
        summary: Some(summary(report)),
        window: report.window.as_ref().map(window),
    }
}

/// The rules.
pub fn rules() -> String {
    let rules: Vec<RuleJson> = RULES.iter().map(rule).collect();
    document(&rules)
}

#[derive(Serialize)]
struct RuleJson {
    name: &'static str,
    severity: String,
    /// A paragraph each: what it finds, why it costs, what it cannot know, what to do.
    explanation: Vec<String>,
}

fn rule(rule: &Rule) -> RuleJson {
    RuleJson {
        name: rule.name,
        severity: rule.severity.to_string(),
        explanation: rule.explanation(),
    }
}

/// The machine alone: the same document without processes.
pub fn topology_only(report: &Report) -> String {
    document(&Document {
        schema_version: SCHEMA_VERSION,
        tool: TOOL,
        host: host(&report.host),
        topology: topology(report),
        settings: settings(report.kernel),
        processes: None,
        findings: Some(report.findings.iter().map(finding).collect()),
        incomplete: incomplete(report),
        summary: None,
        window: None,
    })
}

pub(crate) fn document(document: &impl Serialize) -> String {
    let mut text = Vec::new();
    // Maps have text for keys and numbers are finite: nothing in it can fail.
    let _ = serde_json::to_writer_pretty(Escaped(&mut text), document);
    text.push(b'\n');
    String::from_utf8(text).unwrap_or_default()
}

pub(crate) fn ids<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> Vec<u32> {
    nodes.into_iter().map(|node| node.0).collect()
}

pub(crate) const TOOL: Tool = Tool {
    name: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
};

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    tool: Tool,
    host: HostJson<'a>,
    topology: TopologyJson<'a>,
    settings: SettingsJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    processes: Option<Processes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<Vec<FindingJson<'a>>>,
    incomplete: Vec<GapJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<SummaryJson>,
    /// Only where it was looked for longer than a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<WindowJson<'a>>,
}

/// The processes of a report, of which one at a time is put into its form: 300 of these at once took 0.5 MiB.
struct Processes<'a>(&'a Report);

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let processes = self.0.processes.iter();
        serializer.collect_seq(processes.map(|of| process(of, self.0)))
    }
}

#[derive(Serialize)]
struct WindowJson<'a> {
    seconds: f64,
    /// How long it was to be: more, where it was interrupted.
    asked_seconds: f64,
    looks: usize,
    /// By node, with the names of its `numastat`, in pages.
    node_counters: BTreeMap<u32, &'a Counters>,
    /// Of NUMA balancing, with the names of `/proc/vmstat`.
    vmstat: &'a Counters,
}

fn window(window: &Window) -> WindowJson<'_> {
    let counters = window.node_counters.iter();
    WindowJson {
        seconds: seconds(window.length),
        asked_seconds: seconds(window.asked),
        looks: window.looks,
        node_counters: counters.map(|(node, of)| (node.0, of)).collect(),
        vmstat: &window.vmstat,
    }
}

/// In microseconds, that no more digits are there than mean something.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}

#[derive(Serialize)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
pub(crate) struct HostJson<'a> {
    hostname: Option<&'a str>,
    kernel: Option<&'a str>,
    recorded_at: Option<&'a str>,
    source: &'static str,
    driver_version: Option<&'a str>,
}

pub(crate) fn host(host: &Host) -> HostJson<'_> {
    HostJson {
        hostname: host.hostname.as_deref(),
        kernel: host.kernel.as_deref(),
        recorded_at: host.recorded_at.as_deref(),
        source: match host.origin {
            Origin::Live => "live",
            Origin::Snapshot => "snapshot",
        },
        driver_version: host.driver_version.as_deref(),
    }
}

#[derive(Serialize)]
struct SettingsJson {
    numa_balancing: Option<u32>,
    zone_reclaim_mode: Option<u32>,
}

fn settings(kernel: KernelSettings) -> SettingsJson {
    SettingsJson {
        numa_balancing: kernel.numa_balancing,
        zone_reclaim_mode: kernel.zone_reclaim_mode,
    }
}

#[derive(Serialize)]
struct FindingJson<'a> {
    rule: &'static str,
    severity: String,
    /// The first of its GPUs.
    gpu: Option<u32>,
    gpus: &'a [u32],
    pids: Vec<u32>,
    message: &'a str,
    evidence: BTreeMap<&'static str, Value>,
    remedy: String,
    /// Lines to paste into a shell.
    commands: &'a [String],
}

fn finding(finding: &finding::Finding) -> FindingJson<'_> {
    FindingJson {
        rule: finding.rule,
        severity: finding.severity.to_string(),
        gpu: finding.gpus.first().copied(),
        gpus: &finding.gpus,
        pids: finding.pids.iter().map(|pid| pid.0).collect(),
        message: &finding.message,
        evidence: finding
            .evidence
            .iter()
            .map(|(name, of)| (*name, fact(of)))
            .collect(),
        remedy: finding.remedy.to_string(),
        commands: &finding.remedy.commands,
    }
}

fn fact(fact: &finding::Value) -> Value {
    use finding::Value::{Bytes, Count, Cpus, Nodes, Pids, Share, Text};
    match fact {
        Nodes(nodes) => ids(nodes).into(),
        Cpus(cpus) => cpus.to_string().into(),
        Pids(pids) => pids.iter().map(|pid| pid.0).collect(),
        Bytes(bytes) => bytes.0.into(),
        Count(count) => (*count).into(),
        Share(share) => (*share).into(),
        Text(text) => text.as_str().into(),
    }
}

#[derive(Serialize)]
struct GapJson {
    pid: Option<u32>,
    what: String,
    reason: String,
}

fn incomplete(report: &Report) -> Vec<GapJson> {
    let gaps = report.gaps.iter().map(|gap| GapJson {
        pid: gap.pid.map(|pid| pid.0),
        what: gap.fact.to_string(),
        reason: gap.reason.to_string(),
    });
    gaps.collect()
}

#[derive(Serialize)]
struct SummaryJson {
    verdict: String,
    processes: usize,
    ok: usize,
    at_risk: usize,
    mismatch: usize,
    unknown: usize,
    /// Whether all could be seen and judged.
    complete: bool,
    local_fraction: Option<f64>,
    /// Whether every page was counted, and how far that may be off where not.
    exact: bool,
    error: Option<f64>,
}

fn summary(report: &Report) -> SummaryJson {
    let summary = &report.summary;
    SummaryJson {
        verdict: summary.verdict.to_string(),
        processes: summary.processes,
        ok: summary.ok,
        at_risk: summary.at_risk,
        mismatch: summary.mismatch,
        unknown: summary.unknown,
        complete: summary.is_complete,
        local_fraction: summary.local_fraction,
        exact: summary.is_exact,
        error: summary.local_error,
    }
}
