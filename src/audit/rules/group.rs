//! A group of processes that break a rule together, and how a message names them.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::PlacedProcess;
use crate::audit::rules::{gpu_names, gpus_attached, node_names, process_names};
use crate::units::{NodeSet, Pid};

/// One process or more: of one job with several trainers, or with the same home and local nodes. [`Self::parts`] has the
/// processes that have the same home and local nodes.
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

    /// The processes with the same home and local nodes, by these.
    pub(crate) fn parts(&self) -> Vec<Self> {
        let mut parts: BTreeMap<_, Vec<&PlacedProcess>> = BTreeMap::new();
        for placed in self.iter() {
            let place = (&placed.home_nodes, &placed.local_nodes);
            parts.entry(place).or_default().push(placed);
        }
        parts.into_values().filter_map(Self::new).collect()
    }

    /// What is to say about each part, in one sentence. Beyond some parts the others are only counted.
    pub(crate) fn each_part(&self, clause: impl Fn(&Self) -> String) -> String {
        const MOST: usize = 4;
        let parts = self.parts();
        let mut clauses: Vec<String> = parts.iter().take(MOST).map(clause).collect();
        let others = parts.iter().skip(MOST).flat_map(Self::iter);
        if let Some(others) = Self::new(others.collect()) {
            clauses.push(format!(
                "the same applies to {} of {} on {}",
                others.names(),
                gpu_names(&others.gpus()),
                node_names(&others.home_nodes())
            ));
        }
        clauses.join("; ")
    }

    /// Where the processes of the first part should run.
    pub(crate) fn local_nodes(&self) -> &'a NodeSet {
        &self.first.local_nodes
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
        const MOST: usize = 4;
        let parts = self.parts();
        if parts.len() > MOST {
            return gpus_attached(&self.gpus(), &self.home_nodes(), &NodeSet::new());
        }
        let clauses = parts
            .iter()
            .map(|part| gpus_attached(&part.gpus(), &part.home_nodes(), part.local_nodes()));
        clauses.collect::<Vec<String>>().join(" and ")
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
