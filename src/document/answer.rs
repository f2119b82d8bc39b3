//! What `watch` asks for again and again: an audit, with the threads of the process that is open on the screen.
//!
//! This is between two processes of one program, and no part of the JSON that --json prints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::units::{CpuSet, NodeId, NodeSet, Pid};

/// The answer to one question of the screen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// An audit.
    Audited(Box<Audited>),
    /// Why there is none.
    Trouble(String),
}

/// An audit with threads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Audited {
    /// The audit.
    pub(crate) document: Document,
    /// The threads of the processes that were asked for.
    pub(crate) threads: BTreeMap<Pid, Vec<ThreadEntry>>,
}

/// One thread.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ThreadEntry {
    pub(crate) tid: u32,
    /// `None` where it could not be read. It may contain any letters.
    pub(crate) name: Option<String>,
    /// The CPU on which it last ran; `None` where it could not be read.
    pub(crate) cpu: Option<u32>,
    /// The node of this CPU.
    pub(crate) node: Option<NodeId>,
    /// The CPUs on which it may run; `None` where they could not be read.
    pub(crate) affinity: Option<CpuSet>,
    /// The nodes of these CPUs.
    pub(crate) affinity_nodes: NodeSet,
    /// What was observed of it since the last answer; `None` without a window, and for a thread that is not in it.
    pub(crate) window: Option<ThreadWindowEntry>,
}

/// One thread over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ThreadWindowEntry {
    /// CPU time in seconds, by the node on which it was used.
    pub(crate) cpu_seconds_by_node: BTreeMap<NodeId, f64>,
    /// How often it was seen on another node than before.
    pub(crate) migrations: u64,
}
