//! The document: an audit of one machine, or its map, as everything outside `audit` sees it.
//!
//! Its types are the JSON (schema_version 1) in both directions. Fields may be added; none is removed and none changes its
//! meaning. The doc comments here are the descriptions in the JSON Schema.

pub mod cpu;
pub mod finding;
pub mod gap;
pub mod machine;
pub mod memory;
pub mod process;
pub mod read;
pub mod rule;
pub mod schema;
pub mod summary;
pub mod window;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::document::cpu::{CpuEntry, CpuWindowEntry, ThreadsEntry};
pub use crate::document::finding::Finding;
pub use crate::document::gap::GapEntry;
pub use crate::document::machine::{DeviceEntry, GpuEntry, NodeEntry, TopologyEntry};
pub use crate::document::memory::MemoryEntry;
pub use crate::document::process::{MigInstance, ProcessEntry};
pub use crate::document::read::read;
pub use crate::document::schema::schema;
pub use crate::document::summary::{LocalShare, Summary};
pub use crate::document::window::WindowEntry;
use crate::machine::topology::PciNodes;
use crate::units::Pid;
use crate::words::{Expectation, Origin, Word};

/// The only version of the document that is read and written. It is raised when a field changes its meaning.
pub const SCHEMA_VERSION: u64 = 1;

/// An audit of one machine (numa-audit --json), or its map without processes (numa-audit topology --json).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Always 1. Later versions of the program may add fields and words.
    pub schema_version: u64,
    /// The program that wrote the document.
    #[serde(default)]
    pub tool: Tool,
    /// The machine's name, software and time.
    #[serde(default)]
    pub host: HostEntry,
    /// The NUMA nodes, GPUs and other devices.
    pub topology: TopologyEntry,
    /// Kernel settings that matter for placement.
    #[serde(default)]
    pub settings: SettingsEntry,
    /// The processes in scope, by PID. Absent in a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<Vec<ProcessEntry>>,
    /// The rules that are broken, the worst first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// All that could not be read or judged.
    #[serde(default)]
    pub incomplete: Vec<GapEntry>,
    /// The processes counted by verdict. Absent in a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What was observed over time. Present only with --for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowEntry>,
    /// The result of the comparison with the file of --expect. Present only with --expect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expectation: Option<Word<Expectation>>,
}

/// The program that wrote a document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Its name: numa-audit.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
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
pub struct HostEntry {
    /// The host's name; null where it is unknown or was redacted.
    pub hostname: Option<String>,
    /// The kernel's release, such as 6.8.0; null where it is unknown.
    pub kernel: Option<String>,
    /// When the machine was observed: RFC 3339, UTC. Null in a recording without a time.
    pub recorded_at: Option<String>,
    /// Whether the running machine or a recording was observed.
    #[serde(default)]
    pub source: Word<Origin>,
    /// The NVIDIA driver's version; null where the driver did not answer.
    pub driver_version: Option<String>,
}

/// Kernel settings that matter for placement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingsEntry {
    /// kernel.numa_balancing: 0 is off. Null where it could not be read.
    pub numa_balancing: Option<u32>,
    /// vm.zone_reclaim_mode: 0 is off. Null where it could not be read.
    pub zone_reclaim_mode: Option<u32>,
}

impl Document {
    /// The processes; none in a map.
    pub fn processes(&self) -> &[ProcessEntry] {
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
pub enum Expected {
    /// An earlier audit or map.
    Audit(Box<Document>),
    /// The nodes of PCI devices, from a topology file.
    PciNodes(PciNodes),
}
