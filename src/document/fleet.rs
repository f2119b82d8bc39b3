//! The document of `fleet`: many machines in one view. It is a document of its own, with a schema_version of its own. The doc
//! comments here are the descriptions in the JSON Schema.

use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Tool;
use crate::words::{Severity, Verdict, Word};

/// The only version of this document. It is raised when a field changes its meaning.
pub(crate) const FLEET_SCHEMA_VERSION: u64 = 1;

/// Many machines in one view (numa-audit fleet --json).
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct FleetDocument {
    /// Always 1. Later versions of the program may add fields and words.
    pub(crate) schema_version: u64,
    /// The program that wrote the document.
    pub(crate) tool: Tool,
    /// The machines, the worst first.
    pub(crate) machines: Vec<FleetMachine>,
    /// The jobs of schedulers with their machines, the worst first.
    pub(crate) jobs: Vec<FleetJob>,
    /// The machines by what GPUs they have, the most frequent kind first, and what differs between those of one kind.
    pub(crate) kinds: Vec<MachineKind>,
    /// The hosts of --hosts without a document.
    pub(crate) missing: Vec<String>,
    /// The machines that are not in the list of --hosts. Empty without --hosts.
    pub(crate) not_asked_for: Vec<String>,
    /// The machines with several documents, of which one counts: an audit rather than a map, then the latest.
    pub(crate) duplicates: Vec<FleetDuplicate>,
    /// What could not be read: at most 1000 entries, see unreadable of the summary.
    pub(crate) unreadable: Vec<FleetUnreadable>,
    /// The sums.
    pub(crate) summary: FleetSummary,
}

/// Where a document was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct FleetSource {
    /// The file's name, or `standard input`.
    pub(crate) file: String,
    /// The number of the line in which it begins, from 1; null for a recording, and for a file as a whole.
    pub(crate) line: Option<u64>,
    /// The label before its lines, as srun -l and pdsh write one; null where there is none.
    pub(crate) label: Option<String>,
}

impl FleetSource {
    /// A file as a whole.
    pub(crate) fn file(file: String) -> Self {
        Self {
            file,
            label: None,
            line: None,
        }
    }
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct FleetMachine {
    /// Its name: that of the host or, where it is unknown, where the document was.
    pub(crate) name: String,
    /// The host's name, as the document has it; null where it is unknown or was redacted.
    pub(crate) hostname: Option<String>,
    /// Where its document was.
    pub(crate) source: FleetSource,
    /// When it was observed: RFC 3339, UTC. Null where that is unknown.
    pub(crate) recorded_at: Option<String>,
    /// Whether it has a mismatch or another error; see --fail-on.
    pub(crate) failed: bool,
    /// Whether everything could be judged.
    pub(crate) complete: bool,
    /// The worst verdict of its processes. Null for a map, which has none.
    pub(crate) verdict: Option<Word<Verdict>>,
    /// Its judged processes by verdict. Null for a map.
    pub(crate) processes: Option<FleetCounts>,
    /// The rules that are broken, the worst first, without those that are only good to know. At most 64.
    pub(crate) findings: Vec<FleetFinding>,
}

/// Processes counted by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FleetCounts {
    /// All that are judged.
    pub(crate) all: usize,
    /// Those that are ok or single-node.
    pub(crate) ok: usize,
    /// Those that are at-risk.
    pub(crate) at_risk: usize,
    /// Those that are a mismatch.
    pub(crate) mismatch: usize,
    /// Those that could not be judged.
    pub(crate) unknown: usize,
}

impl FleetCounts {
    /// Adds others. Hostile counts cannot overflow.
    pub(crate) fn add(&mut self, other: Self) {
        let sum = |to: &mut usize, count: usize| *to = to.saturating_add(count);
        sum(&mut self.all, other.all);
        sum(&mut self.ok, other.ok);
        sum(&mut self.at_risk, other.at_risk);
        sum(&mut self.mismatch, other.mismatch);
        sum(&mut self.unknown, other.unknown);
    }
}

/// A rule that is broken on a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct FleetFinding {
    /// How severe it is.
    #[serde(serialize_with = "severity")]
    #[schemars(with = "Word<Severity>")]
    pub(crate) severity: Severity,
    /// The rule's name.
    pub(crate) rule: String,
    /// The indexes of the GPUs that it is about; at most 64.
    pub(crate) gpus: Vec<u32>,
    /// How many processes break it.
    pub(crate) processes: usize,
}

fn severity<S: serde::Serializer>(severity: &Severity, to: S) -> Result<S::Ok, S::Error> {
    Word::from(*severity).serialize(to)
}

/// A job of a scheduler.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct FleetJob {
    /// The scheduler's name, such as Slurm.
    pub(crate) scheduler: String,
    /// The job's number or name.
    pub(crate) id: String,
    /// The worst verdict of its processes.
    pub(crate) verdict: Option<Word<Verdict>>,
    /// Its judged processes by verdict.
    pub(crate) processes: FleetCounts,
    /// How many of them are trainers.
    pub(crate) trainers: usize,
    /// The ranks of its trainers, such as 0-15; empty where they have none.
    pub(crate) ranks: String,
    /// Its machines, the worst first.
    pub(crate) machines: Vec<FleetJobPart>,
}

/// The part of a job that is on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct FleetJobPart {
    /// The machine's name.
    pub(crate) machine: String,
    /// The worst verdict of its processes.
    pub(crate) verdict: Option<Word<Verdict>>,
    /// Its judged processes by verdict.
    pub(crate) processes: FleetCounts,
    /// How many of them are trainers.
    pub(crate) trainers: usize,
    /// The ranks of its trainers; empty where they have none.
    pub(crate) ranks: String,
}

/// Machines with GPUs of the same models, which should be alike.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct MachineKind {
    /// The models of their GPUs: empty for machines without GPUs, null where no GPU's model is known.
    pub(crate) gpus: Option<Vec<String>>,
    /// The machines.
    pub(crate) machines: Vec<String>,
    /// What is not the same on all of them.
    pub(crate) differences: Vec<FleetDifference>,
}

/// Something that is not the same on all machines of a kind.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct FleetDifference {
    /// What differs.
    pub(crate) what: String,
    /// What it is on more than half of the machines where it is known; null where no value is so frequent.
    pub(crate) majority: Option<String>,
    /// On how many machines it is that; 0 where there is no majority.
    pub(crate) machines: usize,
    /// The other values, the most frequent first. Of the memory of nodes, values within 1 % of the middle one are the majority.
    pub(crate) others: Vec<OtherValue>,
    /// The machines of which it is unknown.
    pub(crate) unknown: Vec<String>,
}

/// A value that is not that of the majority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct OtherValue {
    /// The value.
    pub(crate) value: String,
    /// The machines with it.
    pub(crate) machines: Vec<String>,
}

/// A machine with several documents.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct FleetDuplicate {
    /// The machine's name.
    pub(crate) machine: String,
    /// The one that counts.
    pub(crate) counted: FleetSource,
    /// How many documents it has.
    pub(crate) documents: usize,
    /// The others; at most 16.
    pub(crate) others: Vec<FleetSource>,
}

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(crate) struct FleetUnreadable {
    /// Where it is.
    pub(crate) source: FleetSource,
    /// Why it could not be read: one sentence.
    pub(crate) reason: String,
}

/// The sums of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FleetSummary {
    /// The machines.
    pub(crate) machines: usize,
    /// Those that have a mismatch or another error.
    pub(crate) failed: usize,
    /// Those of the others that could not be judged completely.
    pub(crate) incomplete: usize,
    /// The rest.
    pub(crate) fine: usize,
    /// The hosts of --hosts without a document.
    pub(crate) missing: usize,
    /// What could not be read.
    pub(crate) unreadable: usize,
    /// The files of folders that were not read because of their names.
    pub(crate) passed_over: usize,
    /// The judged processes of all machines.
    pub(crate) processes: FleetCounts,
    /// Whether all machines that were asked for could be read and judged completely.
    pub(crate) complete: bool,
}
