//! The document of `plan`: where each rank of a job should run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::Tool;
use crate::units::{CpuSet, NodeId, NodeSet, PciAddress};

/// The only version of a plan that is written and read.
pub(crate) const PLAN_SCHEMA_VERSION: u64 = 1;

/// Where each rank of a job should run (numa-audit plan --format json). --expect compares a running job with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlanDocument {
    /// Always 1. Later versions of the program may add fields.
    pub(crate) schema_version: u64,
    /// The program that wrote the plan.
    #[serde(default)]
    pub(crate) tool: Tool,
    /// The host that it is for; null where its name is unknown.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
    /// The loader processes of each rank.
    #[serde(default)]
    pub(crate) workers: u32,
    /// Whether each rank has cores of its own. Otherwise the ranks of a node share its CPUs.
    #[serde(default)]
    pub(crate) exclusive: bool,
    /// The CPUs that were to be left alone (--reserve).
    #[serde(default)]
    pub(crate) reserved_cpus: CpuSet,
    /// The ranks by number.
    pub(crate) ranks: Vec<PlannedRank>,
    /// What does not fit, and what the plan assumes.
    #[serde(default)]
    pub(crate) notes: Vec<String>,
}

/// One rank.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PlannedRank {
    /// Its number among the ranks of this machine (LOCAL_RANK).
    pub(crate) rank: u32,
    /// The index of its GPU, as in an audit.
    pub(crate) gpu: u32,
    /// The GPU's UUID; null where it is unknown.
    #[serde(default)]
    pub(crate) uuid: Option<String>,
    /// The GPU's PCI address; null where it is unknown.
    #[serde(default)]
    pub(crate) pci_bus_id: Option<PciAddress>,
    /// The node on which it should run; null where that is more than one.
    #[serde(default)]
    pub(crate) node: Option<NodeId>,
    /// The CPUs on which it should run.
    pub(crate) cpus: CpuSet,
    /// The nodes on which its memory should be.
    pub(crate) memory_nodes: NodeSet,
    /// The CPUs for its loader processes: the same, or where there are enough of them all but one core, which is left to the
    /// rank itself.
    pub(crate) worker_cpus: CpuSet,
}
