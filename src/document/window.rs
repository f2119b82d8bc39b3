//! What was observed over time, in the document.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::NodeId;

/// An observation over time (--for).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct WindowEntry {
    /// How long it was, in seconds.
    #[serde(default)]
    pub(crate) seconds: f64,
    /// How long it was meant to be, in seconds: longer than that where it was interrupted.
    #[serde(default)]
    pub(crate) asked_seconds: f64,
    /// How often the threads were read.
    #[serde(default)]
    pub(crate) looks: usize,
    /// What each node's numastat counted meanwhile, in pages, by the kernel's names.
    #[serde(default)]
    pub(crate) node_counters: BTreeMap<NodeId, BTreeMap<String, u64>>,
    /// What /proc/vmstat counted meanwhile of NUMA balancing, by the kernel's names.
    #[serde(default)]
    pub(crate) vmstat: BTreeMap<String, u64>,
}

impl WindowEntry {
    /// Whether it was interrupted.
    pub(crate) fn is_cut_short(&self) -> bool {
        self.seconds < self.asked_seconds
    }
}

/// A time in seconds, to the microsecond: further digits mean nothing.
pub(crate) fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}
