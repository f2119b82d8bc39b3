//! A process's memory in the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::summary::{LocalShare, fraction};
use crate::units::{Bytes, NodeBytes, NodeId, NodeSet};
use crate::words::{MemoryKind, Verdict, Word};

/// Where a process's memory is. Fields about its pages are null where these could not be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MemoryEntry {
    /// The node with most of the working memory.
    pub(crate) node: Option<NodeId>,
    /// The mode of the main thread's memory policy, in the kernel's words: default, bind, prefer, interleave.
    pub(crate) policy: Option<String>,
    /// The policy's flags: static, relative, balancing.
    pub(crate) policy_flags: Option<Vec<String>>,
    /// The policy's nodes; null where the kernel cut the list.
    pub(crate) policy_nodes: Option<NodeSet>,
    /// The nodes that its cpuset allows; null where they are unknown.
    pub(crate) mems_allowed: Option<NodeSet>,
    /// The memory policies of its threads, and how many threads have each; null where they were not read.
    pub(crate) thread_policies: Option<BTreeMap<String, usize>>,
    /// Whether every page was counted. False for an estimate from a sample.
    pub(crate) exact: Option<bool>,
    /// How many pages the estimate is made from; null where every page was counted.
    pub(crate) sample_pages: Option<u64>,
    /// By how much local_fraction may be wrong, in 95 of 100 cases: from 0 to 1. Pages that are all on one node do not prove that
    /// none is elsewhere: of 256 such pages the error is 0.014, of 2048 it is 0.002.
    #[serde(default, deserialize_with = "fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) error: Option<f64>,
    /// The verdict on its memory; null for a process that is not judged.
    pub(crate) verdict: Option<Word<Verdict>>,
    /// The working memory in bytes, by node: all kinds but file.
    pub(crate) by_node_bytes: Option<NodeBytes>,
    /// All memory in bytes, by kind and node.
    pub(crate) by_kind: Option<BTreeMap<Word<MemoryKind>, NodeBytes>>,
    /// The share of the working memory on the local nodes and on the GPU itself: from 0 to 1. Null where it is unknown.
    #[serde(default, deserialize_with = "fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) local_fraction: Option<f64>,
    /// Anonymous memory in swap in bytes, which is on no node; null where it is unknown. Shared memory in swap is not counted.
    #[serde(default)]
    pub(crate) swap_bytes: Option<Bytes>,
    /// Pages that NUMA balancing moved meanwhile. Present only with --for, where the kernel counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pages_migrated: Option<u64>,
    /// Anonymous and shared memory of its whole control group in bytes, by node. Null where its own memory could be read.
    pub(crate) group_by_node_bytes: Option<NodeBytes>,
}

impl MemoryEntry {
    /// Whether its sizes are estimates.
    pub(crate) fn is_estimate(&self) -> bool {
        self.exact == Some(false)
    }

    /// How much of it is local.
    pub(crate) fn local(&self) -> LocalShare {
        LocalShare {
            local_fraction: self.local_fraction,
            exact: !self.is_estimate(),
            error: self.error,
        }
    }

    /// The working memory, the largest possible sum where a document claims too much.
    pub(crate) fn total(&self) -> Option<Bytes> {
        Some(self.by_node_bytes.as_ref()?.values().copied().sum())
    }
}
