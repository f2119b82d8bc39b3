//! A process's CPU side in the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{CpuSet, NodeId, NodeSet};
use crate::words::{Verdict, Word};

/// Where a process's threads run and may run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuEntry {
    /// With --for the node on which it used most CPU time; else the node of the CPU on which the main thread last ran. Null
    /// where it is unknown.
    pub node: Option<NodeId>,
    /// The CPUs on which the main thread may run, offline CPUs included; null where they are unknown.
    pub affinity: Option<CpuSet>,
    /// The nodes of these CPUs.
    #[serde(default)]
    pub affinity_nodes: NodeSet,
    /// The CPUs that its control group allows; null where they are unknown.
    pub cpuset: Option<CpuSet>,
    /// The nodes of these CPUs; null where they are unknown.
    pub cpuset_nodes: Option<NodeSet>,
    /// Whether the affinity is inside the local nodes; null where either is unknown.
    pub bound: Option<bool>,
    /// The verdict on its CPUs; null for a process that is not judged.
    pub verdict: Option<Word<Verdict>>,
    /// Its threads, counted; null where they could not be listed.
    pub threads: Option<ThreadsEntry>,
    /// What was observed of it over time. Present only with --for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<CpuWindowEntry>,
}

/// A process's threads, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadsEntry {
    /// All threads.
    #[serde(default)]
    pub total: usize,
    /// Threads by the node on which they ran.
    #[serde(default)]
    pub by_node: BTreeMap<NodeId, usize>,
    /// Threads that ran off the local nodes; null where these are unknown.
    pub astray: Option<usize>,
    /// Threads that may leave the local nodes; null where these are unknown.
    pub loose: Option<usize>,
    /// The same by name, without the numbers at the ends of the names.
    pub loose_names: Option<BTreeMap<String, usize>>,
}

/// A process's threads over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuWindowEntry {
    /// CPU time in seconds, by the node on which it was used.
    #[serde(default)]
    pub cpu_seconds_by_node: BTreeMap<NodeId, f64>,
    /// How often threads were seen on another node than before: at least so often they moved.
    #[serde(default)]
    pub migrations: u64,
    /// How many threads these were.
    #[serde(default)]
    pub threads_moved: usize,
}
