//! The JSON document of `diff`, schema_version 1 of its own. Fields may be added; none is ever removed or changed.

use serde::Serialize;

use crate::compare::Diff;
use crate::compare::findings::{FindingChange, State};
use crate::compare::machine::MachineChange;
use crate::compare::processes::{Change, ProcessChange};
use crate::document::outline::{LocalShare, Outline, ProcessOutline, SummaryOutline};
use crate::print::json::{HostJson, TOOL, Tool, document, host, ids};

const SCHEMA_VERSION: u32 = 1;

/// All of it; what is as it was too.
pub fn diff(diff: &Diff) -> String {
    document(&DiffJson {
        schema_version: SCHEMA_VERSION,
        tool: TOOL,
        before: side(diff.before),
        after: side(diff.after),
        machine: diff.machine.iter().map(machine).collect(),
        processes: diff.processes.iter().map(process).collect(),
        findings: diff.findings.iter().map(finding).collect(),
        summary: summary(diff),
    })
}

#[derive(Serialize)]
struct DiffJson<'a> {
    schema_version: u32,
    tool: Tool,
    before: SideJson<'a>,
    after: SideJson<'a>,
    machine: Vec<MachineJson<'a>>,
    processes: Vec<ChangeJson<'a>>,
    findings: Vec<FindingJson<'a>>,
    summary: SummaryJson,
}

#[derive(Serialize)]
struct SideJson<'a> {
    host: HostJson<'a>,
    /// `None` for the document of a machine alone.
    summary: Option<SumJson<'a>>,
}

fn side(outline: &Outline) -> SideJson<'_> {
    SideJson {
        host: host(&outline.host),
        summary: outline.summary.as_ref().map(sum),
    }
}

#[derive(Serialize)]
struct SumJson<'a> {
    verdict: &'a str,
    processes: usize,
    ok: usize,
    at_risk: usize,
    mismatch: usize,
    unknown: usize,
    #[serde(flatten)]
    local: LocalJson,
}

fn sum(summary: &SummaryOutline) -> SumJson<'_> {
    SumJson {
        verdict: &summary.verdict,
        processes: summary.processes,
        ok: summary.ok,
        at_risk: summary.at_risk,
        mismatch: summary.mismatch,
        unknown: summary.unknown,
        local: local(summary.local),
    }
}

#[derive(Serialize)]
struct LocalJson {
    local_fraction: Option<f64>,
    exact: bool,
    /// On either side, from 0 to 1; `None` where it is not known.
    error: Option<f64>,
}

fn local(share: LocalShare) -> LocalJson {
    LocalJson {
        local_fraction: share.fraction,
        exact: !share.is_estimate,
        error: share.error,
    }
}

#[derive(Serialize)]
struct MachineJson<'a> {
    what: &'a str,
    gpu: Option<u32>,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

fn machine(change: &MachineChange) -> MachineJson<'_> {
    MachineJson {
        what: &change.what,
        gpu: change.gpu,
        before: change.before.as_deref(),
        after: change.after.as_deref(),
    }
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    change: String,
    /// The worst verdict that it got worse to; `None` where nothing did.
    worsened_to: Option<String>,
    matched_by: Option<String>,
    role: Option<&'a str>,
    /// Of a worker its trainer's.
    rank: Option<u32>,
    /// The fields of `before` and `after` that are known in both and are another.
    changed: Vec<String>,
    before: Option<ProcessJson<'a>>,
    after: Option<ProcessJson<'a>>,
}

fn process<'a>(change: &ProcessChange<'a>) -> ChangeJson<'a> {
    ChangeJson {
        change: change.change.to_string(),
        worsened_to: change.worsened_to.map(|verdict| verdict.to_string()),
        matched_by: change.matched_by.map(|how| how.to_string()),
        role: change.either().and_then(|of| of.role.as_deref()),
        rank: change.rank,
        changed: change.changed.iter().map(ToString::to_string).collect(),
        before: change.before.map(outline),
        after: change.after.map(outline),
    }
}

/// A process, with the names that its audit's document has.
#[derive(Serialize)]
struct ProcessJson<'a> {
    pid: u32,
    start_time_ticks: Option<u64>,
    name: &'a str,
    role: Option<&'a str>,
    gpus: &'a [u32],
    home_nodes: Vec<u32>,
    cpu: CpuJson<'a>,
    memory: MemoryJson<'a>,
    verdict: Option<&'a str>,
}

#[derive(Serialize)]
struct CpuJson<'a> {
    node: Option<u32>,
    affinity: Option<String>,
    affinity_nodes: Vec<u32>,
    bound: Option<bool>,
    threads: ThreadsJson,
    verdict: Option<&'a str>,
}

#[derive(Serialize)]
struct ThreadsJson {
    astray: Option<usize>,
}

#[derive(Serialize)]
struct MemoryJson<'a> {
    node: Option<u32>,
    policy: Option<&'a str>,
    policy_nodes: Option<Vec<u32>>,
    mems_allowed: Option<Vec<u32>>,
    #[serde(flatten)]
    local: LocalJson,
    verdict: Option<&'a str>,
}

fn outline(process: &ProcessOutline) -> ProcessJson<'_> {
    let (cpu, memory) = (&process.cpu, &process.memory);
    ProcessJson {
        pid: process.pid.0,
        start_time_ticks: process.start_time_ticks,
        name: &process.name,
        role: process.role.as_deref(),
        gpus: &process.gpus,
        home_nodes: ids(&process.home_nodes),
        cpu: CpuJson {
            node: cpu.node.map(|node| node.0),
            affinity: cpu.affinity.as_ref().map(ToString::to_string),
            affinity_nodes: ids(&cpu.affinity_nodes),
            bound: cpu.bound,
            threads: ThreadsJson { astray: cpu.astray },
            verdict: cpu.verdict.as_deref(),
        },
        memory: MemoryJson {
            node: memory.node.map(|node| node.0),
            policy: memory.policy.as_deref(),
            policy_nodes: memory.policy_nodes.as_ref().map(ids),
            mems_allowed: memory.mems_allowed.as_ref().map(ids),
            local: local(memory.local),
            verdict: memory.verdict.as_deref(),
        },
        verdict: process.verdict.as_deref(),
    }
}

#[derive(Serialize)]
struct FindingJson<'a> {
    change: String,
    /// Whether more is wrong than was.
    worse: bool,
    rule: &'a str,
    severity: &'a str,
    gpus: &'a [u32],
    pids: Vec<u32>,
    /// Those that did not break it before.
    joined_pids: Vec<u32>,
    message: &'a str,
}

fn finding<'a>(change: &FindingChange<'a>) -> FindingJson<'a> {
    let finding = change.finding;
    FindingJson {
        change: change.state.to_string(),
        worse: change.is_worse,
        rule: &finding.rule,
        severity: &finding.severity,
        gpus: &finding.gpus,
        pids: finding.pids.iter().map(|pid| pid.0).collect(),
        joined_pids: change.joined.iter().map(|pid| pid.0).collect(),
        message: &finding.message,
    }
}

/// How many became what: of processes those that are judged.
#[derive(Serialize)]
struct SummaryJson {
    /// Processes that got worse, new ones that are worse than their like among them.
    worse: usize,
    not_judged: usize,
    gone: usize,
    new: usize,
    moved: usize,
    better: usize,
    same: usize,
    findings_worse: usize,
    findings_new: usize,
    findings_spread: usize,
    findings_not_judged: usize,
    findings_remaining: usize,
    findings_gone: usize,
    findings_fixed: usize,
    /// Whether something could have got worse unseen.
    incomplete: bool,
}

fn summary(diff: &Diff) -> SummaryJson {
    let judged = || diff.processes.iter().filter(|change| change.is_judged());
    let processes = |wanted| judged().filter(|of| of.change == wanted).count();
    let of_findings = |wanted| diff.findings.iter().filter(|of| of.state == wanted).count();
    SummaryJson {
        worse: judged().filter(|of| of.worsened_to.is_some()).count(),
        not_judged: processes(Change::NotJudged),
        gone: processes(Change::Gone),
        new: processes(Change::New),
        moved: processes(Change::Moved),
        better: processes(Change::Better),
        same: processes(Change::Same),
        findings_worse: diff.findings.iter().filter(|of| of.is_worse).count(),
        findings_new: of_findings(State::New),
        findings_spread: of_findings(State::Spread),
        findings_not_judged: of_findings(State::NotJudged),
        findings_remaining: of_findings(State::Remains),
        findings_gone: of_findings(State::Gone),
        findings_fixed: of_findings(State::Fixed),
        incomplete: diff.is_open,
    }
}
