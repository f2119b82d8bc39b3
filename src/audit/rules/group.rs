//! A group of processes that break a rule together, and how a message names them.

use std::collections::BTreeSet;

use crate::audit::PlacedProcess;
use crate::audit::rules::{gpus_attached, node_names, process_names};
use crate::units::{NodeSet, Pid};

/// One process or more. All have the same home nodes and local nodes, except in cpus-crowded and in the groups of
/// [`RuleContext::jobs`](super::RuleContext::jobs).
#[derive(Debug, Clone)]
pub(crate) struct Group<'a> {
    first: &'a PlacedProcess,
    processes: Vec<&'a PlacedProcess>,
}

impl<'a> Group<'a> {
    /// `None` if there is no process.
    pub(crate) fn new(processes: Vec<&'a PlacedProcess>) -> Option<Self> {
        let first = *processes.first()?;
        Some(Self { first, processes })
    }

    /// One process of the group. It stands for all of them where they are alike.
    pub(crate) fn first(&self) -> &'a PlacedProcess {
        self.first
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a PlacedProcess> + Clone + '_ {
        self.processes.iter().copied()
    }

    pub(crate) fn processes(&self) -> &[&'a PlacedProcess] {
        &self.processes
    }

    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }

    pub(crate) fn pids(&self) -> Vec<Pid> {
        self.iter().map(|placed| placed.process.pid).collect()
    }

    /// The GPUs of all processes, by index.
    pub(crate) fn gpus(&self) -> Vec<u32> {
        let gpus: BTreeSet<u32> = self
            .iter()
            .flat_map(|placed| placed.membership.gpus.iter().copied())
            .collect();
        gpus.into_iter().collect()
    }

    /// The home nodes of the GPUs of all processes.
    pub(crate) fn home_nodes(&self) -> NodeSet {
        self.iter()
            .flat_map(|placed| placed.home_nodes.iter().copied())
            .collect()
    }

    /// Where the processes should run.
    pub(crate) fn local_nodes(&self) -> &'a NodeSet {
        &self.first.local_nodes
    }

    /// Where the memory of the processes should be.
    pub(crate) fn local_memory_nodes(&self) -> &'a NodeSet {
        &self.first.local_memory_nodes
    }

    /// The processes, as the subject of a sentence: `trainer 254 and 4 workers`.
    pub(crate) fn names(&self) -> String {
        process_names(
            self.iter()
                .map(|placed| (placed.membership.role, placed.process.pid)),
        )
    }

    /// The word that agrees with the number of processes: `agree("has", "have")`, `agree("its", "their")`.
    pub(crate) fn agree(&self, one: &'static str, several: &'static str) -> &'static str {
        if self.len() == 1 { one } else { several }
    }

    /// Where the GPUs are attached: `GPU 0 is attached to node 0`.
    pub(crate) fn gpus_attached(&self) -> String {
        gpus_attached(&self.gpus(), &self.home_nodes(), self.local_nodes())
    }

    /// The start of a message that says what does not match the local nodes. The verb follows:
    /// `GPU 0 is attached to node 0, but trainer 254 and 4 workers` or, without a GPU, `process 250 runs on node 1, but it`.
    pub(crate) fn but(&self) -> String {
        if self.gpus().is_empty() {
            let (names, local) = (self.names(), node_names(self.local_nodes()));
            let (run, they) = (self.agree("runs", "run"), self.agree("it", "they"));
            format!("{names} {run} on {local}, but {they}")
        } else {
            format!("{}, but {}", self.gpus_attached(), self.names())
        }
    }
}
