//! The JSON document of `diff`, schema_version 1 of its own. Fields may be added; none is removed or changed.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::compare::{
    Change, Diff, FIELDS, FindingChange, FindingState, MachineChange, ProcessChange,
};
use crate::document::{Document, HostEntry, LocalShare, ProcessEntry, Summary, Tool};
use crate::print::json;
use crate::units::Pid;
use crate::words::{Role, Severity, Verdict, Word};

const SCHEMA_VERSION: u32 = 1;

/// The whole diff, unchanged processes included.
pub(crate) fn diff(diff: &Diff) -> String {
    json::text(&DiffJson {
        schema_version: SCHEMA_VERSION,
        tool: Tool::this(),
        before: side(diff.before),
        after: side(diff.after),
        machine: &diff.machine,
        processes: diff.processes.iter().map(process).collect(),
        findings: diff.findings.iter().map(finding).collect(),
        summary: counts(diff),
    })
}

#[derive(Serialize)]
struct DiffJson<'a> {
    schema_version: u32,
    tool: Tool,
    before: SideJson<'a>,
    after: SideJson<'a>,
    machine: &'a [MachineChange],
    processes: Vec<ProcessChangeJson<'a>>,
    findings: Vec<FindingChangeJson<'a>>,
    summary: CountsJson,
}

#[derive(Serialize)]
struct SideJson<'a> {
    host: &'a HostEntry,
    /// `None` for a map.
    summary: Option<SideSummaryJson<'a>>,
}

fn side(document: &Document) -> SideJson<'_> {
    SideJson {
        host: &document.host,
        summary: document.summary.as_ref().map(side_summary),
    }
}

#[derive(Serialize)]
struct SideSummaryJson<'a> {
    verdict: &'a Word<Verdict>,
    processes: usize,
    ok: usize,
    at_risk: usize,
    mismatch: usize,
    unknown: usize,
    #[serde(flatten)]
    local: LocalShare,
}

fn side_summary(summary: &Summary) -> SideSummaryJson<'_> {
    SideSummaryJson {
        verdict: &summary.verdict,
        processes: summary.processes,
        ok: summary.ok,
        at_risk: summary.at_risk,
        mismatch: summary.mismatch,
        unknown: summary.unknown,
        local: summary.local(),
    }
}

#[derive(Serialize)]
struct ProcessChangeJson<'a> {
    change: String,
    /// The worst verdict that it got worse to; `None` where nothing got worse.
    worsened_to: Option<Word<Verdict>>,
    matched_by: Option<String>,
    role: Option<&'a Word<Role>>,
    /// Of a worker its trainer's rank.
    rank: Option<u32>,
    /// The paths of the fields that are known on both sides and differ.
    changed: &'a [&'static str],
    before: Option<Fields>,
    after: Option<Fields>,
}

fn process<'a>(change: &'a ProcessChange) -> ProcessChangeJson<'a> {
    ProcessChangeJson {
        change: change.change.to_string(),
        worsened_to: change.worsened_to.map(Word::from),
        matched_by: change.matched_by.map(|how| how.to_string()),
        role: change.either().and_then(|of| of.role.as_ref()),
        rank: change.rank,
        changed: &change.changed,
        before: change.before.map(fields),
        after: change.after.map(fields),
    }
}

/// The compared fields of a process: an object with its keys in the order in which they were put in.
#[derive(Default)]
struct Fields(Vec<(&'static str, FieldValue)>);

enum FieldValue {
    Value(Value),
    Object(Fields),
}

fn fields(of: &ProcessEntry) -> Fields {
    let mut fields = Fields::default();
    for field in FIELDS {
        fields.put(field.path, (field.value)(of));
    }
    fields
}

impl Fields {
    /// Puts in a value by its path: `cpu.node`.
    fn put(&mut self, path: &'static str, value: Value) {
        let Some((key, rest)) = path.split_once('.') else {
            if self.0.iter().all(|(known, _)| *known != path) {
                self.0.push((path, FieldValue::Value(value)));
            }
            return;
        };
        let known = self.0.iter_mut().find(|(known, _)| *known == key);
        if let Some((_, FieldValue::Object(fields))) = known {
            fields.put(rest, value);
        } else {
            let mut fields = Self::default();
            fields.put(rest, value);
            self.0.push((key, FieldValue::Object(fields)));
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, field) in &self.0 {
            match field {
                FieldValue::Value(value) => map.serialize_entry(key, value)?,
                FieldValue::Object(fields) => map.serialize_entry(key, fields)?,
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct FindingChangeJson<'a> {
    change: String,
    /// Whether more is wrong than before.
    worse: bool,
    rule: &'a str,
    severity: &'a Word<Severity>,
    gpus: &'a [u32],
    pids: &'a [Pid],
    /// The processes that did not break the rule before.
    joined_pids: &'a [Pid],
    message: &'a str,
}

fn finding<'a>(change: &'a FindingChange) -> FindingChangeJson<'a> {
    let finding = change.finding;
    FindingChangeJson {
        change: change.state.to_string(),
        worse: change.is_worse,
        rule: &finding.rule,
        severity: &finding.severity,
        gpus: &finding.gpus,
        pids: &finding.pids,
        joined_pids: &change.joined,
        message: &finding.message,
    }
}

/// Changes, counted: of the processes those that are judged.
#[derive(Serialize)]
struct CountsJson {
    /// Processes that got worse, and new processes that are worse than the matching ones.
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

fn counts(diff: &Diff) -> CountsJson {
    let judged = || diff.processes.iter().filter(|change| change.is_judged());
    let processes = |wanted| judged().filter(|of| of.change == wanted).count();
    let findings = |wanted| diff.findings.iter().filter(|of| of.state == wanted).count();
    CountsJson {
        worse: judged().filter(|of| of.worsened_to.is_some()).count(),
        not_judged: processes(Change::NotJudged),
        gone: processes(Change::Gone),
        new: processes(Change::New),
        moved: processes(Change::Moved),
        better: processes(Change::Better),
        same: processes(Change::Same),
        findings_worse: diff.findings.iter().filter(|of| of.is_worse).count(),
        findings_new: findings(FindingState::New),
        findings_spread: findings(FindingState::Spread),
        findings_not_judged: findings(FindingState::NotJudged),
        findings_remaining: findings(FindingState::Remains),
        findings_gone: findings(FindingState::Gone),
        findings_fixed: findings(FindingState::Fixed),
        incomplete: diff.is_open,
    }
}
