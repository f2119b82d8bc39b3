//! The document: an audit of one machine, or its map, as everything outside `audit` sees it.
//!
//! Its types are the JSON (schema_version 1) in both directions. Fields may be added; none is removed and none changes its
//! meaning. The doc comments here are the descriptions in the JSON Schema.

pub(crate) mod answer;
pub(crate) mod cpu;
pub(crate) mod finding;
pub(crate) mod fleet;
pub(crate) mod gap;
pub(crate) mod machine;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod read;
pub(crate) mod rule;
pub(crate) mod schema;
pub(crate) mod summary;
pub(crate) mod window;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use crate::document::answer::{Audited, Reply, ThreadEntry, ThreadWindowEntry};
pub(crate) use crate::document::cpu::{CpuEntry, CpuWindowEntry, ThreadsEntry};
pub(crate) use crate::document::finding::Finding;
pub(crate) use crate::document::fleet::{
    FLEET_SCHEMA_VERSION, FleetCounts, FleetDifference, FleetDocument, FleetDuplicate,
    FleetFinding, FleetJob, FleetJobPart, FleetMachine, FleetSource, FleetSummary, FleetUnreadable,
    MachineKind, OtherValue,
};
pub(crate) use crate::document::gap::GapEntry;
pub(crate) use crate::document::machine::{
    CoreEntry, DeviceEntry, DeviceUserEntry, GpuEntry, HugePagesEntry, NodeEntry, PartitionEntry,
    TopologyEntry, UnseenProcess,
};
pub(crate) use crate::document::memory::MemoryEntry;
pub(crate) use crate::document::plan::{PLAN_SCHEMA_VERSION, PlanDocument, PlannedRank};
pub(crate) use crate::document::process::{
    MigInstance, ObstacleEntry, PartitionUse, ProcessEntry, SchedulerJobEntry, TargetEntry,
};
pub(crate) use crate::document::read::{read, read_expected};
pub(crate) use crate::document::schema::{fleet_schema, plan_schema, schema};
pub(crate) use crate::document::summary::{LocalShare, Summary};
pub(crate) use crate::document::window::WindowEntry;
use crate::machine::PciNodes;
pub(crate) use crate::machine::PciPlace;
use crate::units::{CpuSet, NodeSet, Pid};
use crate::words::{Expectation, Origin, Word};

/// The only version of the document that is read and written. It is raised when a field changes its meaning.
pub(crate) const SCHEMA_VERSION: u64 = 1;

/// An audit of one machine (numa-audit --json), or its map without processes (numa-audit topology --json).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Document {
    /// Always 1. Later versions of the program may add fields and words.
    pub(crate) schema_version: u64,
    /// The program that wrote the document.
    #[serde(default)]
    pub(crate) tool: Tool,
    /// The machine's name, software and time.
    #[serde(default)]
    pub(crate) host: HostEntry,
    /// The NUMA nodes, GPUs and other devices.
    pub(crate) topology: TopologyEntry,
    /// Kernel settings that matter for placement.
    #[serde(default)]
    pub(crate) settings: SettingsEntry,
    /// The processes in scope, by PID. Absent in a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processes: Option<Vec<ProcessEntry>>,
    /// The rules that are broken, the worst first.
    #[serde(default)]
    pub(crate) findings: Vec<Finding>,
    /// All that could not be read or judged.
    #[serde(default)]
    pub(crate) incomplete: Vec<GapEntry>,
    /// The processes counted by verdict. Absent in a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) summary: Option<Summary>,
    /// What was observed over time. Present only with --for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<WindowEntry>,
    /// The result of the comparison with the file of --expect. Present only with --expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expectation: Option<Word<Expectation>>,
}

/// The program that wrote a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Tool {
    /// Its name: numa-audit.
    #[serde(default)]
    pub(crate) name: String,
    /// Its version.
    #[serde(default)]
    pub(crate) version: String,
}

impl Tool {
    /// This program.
    pub(crate) fn this() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The machine's name, software and time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HostEntry {
    /// The host's name; null where it is unknown or was redacted.
    pub(crate) hostname: Option<String>,
    /// The kernel's release, such as 6.8.0; null where it is unknown.
    pub(crate) kernel: Option<String>,
    /// When the machine was observed: RFC 3339, UTC. Null in a recording without a time.
    pub(crate) recorded_at: Option<String>,
    /// Whether the running machine or a recording was observed.
    #[serde(default)]
    pub(crate) source: Word<Origin>,
    /// The NVIDIA driver's version; null where the driver did not answer.
    pub(crate) driver_version: Option<String>,
    /// The name that a scheduler has for the machine, which may differ from the host's. Absent where the program was not started
    /// by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_name: Option<String>,
    /// The variable that has node_name, such as SLURMD_NODENAME. Absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node_name_source: Option<String>,
    /// The jobs of schedulers that the program itself ran in. Absent where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) observer_jobs: Vec<SchedulerJobEntry>,
    /// The CPUs on which the program itself may run, and what it would start. Absent in an audit and for a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observer_cpus: Option<CpuSet>,
    /// The nodes from which the program itself may get memory (Mems_allowed). Absent in an audit and for a recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observer_memory_nodes: Option<NodeSet>,
}

/// Kernel settings that matter for placement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SettingsEntry {
    /// kernel.numa_balancing: 0 is off. Null where it could not be read.
    pub(crate) numa_balancing: Option<u32>,
    /// vm.zone_reclaim_mode: 0 is off. Null where it could not be read.
    pub(crate) zone_reclaim_mode: Option<u32>,
}

impl Document {
    /// The processes; none in a map.
    pub(crate) fn processes(&self) -> &[ProcessEntry] {
        self.processes.as_deref().unwrap_or_default()
    }

    /// The processes of which this fact is missing.
    pub(crate) fn pids_without(&self, what: &str) -> BTreeSet<Pid> {
        let gaps = self.incomplete.iter().filter(|gap| gap.what == what);
        gaps.filter_map(|gap| gap.pid).collect()
    }
}

/// What --expect compares a machine with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expected {
    /// An earlier audit or map.
    Audit(Box<Document>),
    /// A plan of this program.
    Plan(PlanDocument),
    /// The nodes of PCI devices, from a topology file.
    PciNodes(PciNodes),
}
