//! A process's CPU side in the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{CpuSet, NodeId, NodeSet};
use crate::words::{Verdict, Word};

/// Where a process's threads run and may run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CpuEntry {
    /// With --for the node on which it used most CPU time; else the node of the CPU on which the main thread last ran. Null
    /// where it is unknown.
    pub(crate) node: Option<NodeId>,
    /// The CPUs on which the main thread may run, offline CPUs included; null where they are unknown.
    pub(crate) affinity: Option<CpuSet>,
    /// The nodes of these CPUs.
    #[serde(default)]
    pub(crate) affinity_nodes: NodeSet,
    /// The CPUs that its control group allows; null where they are unknown.
    pub(crate) cpuset: Option<CpuSet>,
    /// The nodes of these CPUs; null where they are unknown.
    pub(crate) cpuset_nodes: Option<NodeSet>,
    /// Whether the affinity is inside the local nodes; null where either is unknown.
    pub(crate) bound: Option<bool>,
    /// The verdict on its CPUs; null for a process that is not judged.
    pub(crate) verdict: Option<Word<Verdict>>,
    /// Its threads, counted; null where they could not be listed.
    pub(crate) threads: Option<ThreadsEntry>,
    /// What was observed of it over time. Present only with --for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) window: Option<CpuWindowEntry>,
}

/// A process's threads, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ThreadsEntry {
    /// All threads.
    #[serde(default)]
    pub(crate) total: usize,
    /// Threads by the node on which they ran.
    #[serde(default)]
    pub(crate) by_node: BTreeMap<NodeId, usize>,
    /// Threads that ran off the local nodes; null where these are unknown.
    pub(crate) astray: Option<usize>,
    /// Threads that may leave the local nodes; null where these are unknown.
    pub(crate) loose: Option<usize>,
    /// The same by name, without the numbers at the ends of the names.
    pub(crate) loose_names: Option<BTreeMap<String, usize>>,
}

/// A process's threads over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CpuWindowEntry {
    /// CPU time in seconds, by the node on which it was used.
    #[serde(default)]
    pub(crate) cpu_seconds_by_node: BTreeMap<NodeId, f64>,
    /// How often threads were seen on another node than before: at least so often they moved.
    #[serde(default)]
    pub(crate) migrations: u64,
    /// How many threads these were.
    #[serde(default)]
    pub(crate) threads_moved: usize,
}
