//! What the picture shows, and where: by node, without any coordinates. Position means node, the look means verdict.

mod arrows;
mod chips;
mod guests;
pub(super) mod heading;
mod memory;
mod nodes;
mod panes;
mod place;

use std::collections::{BTreeMap, BTreeSet};

use crate::document::{Document, GpuEntry, ProcessEntry};
use crate::print::picture::look::Look;
use crate::units::{Bytes, NodeId, NodeSet};
use crate::words::Role;

pub(super) use guests::gpus;
pub(super) use memory::{Bar, Share};

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Diagram {
    /// The sentence of the result, with the look of the worst.
    pub(super) result: Option<(Look, String)>,
    /// Which machine, when; what is missing; what else was found.
    pub(super) lines: Vec<Line>,
    pub(super) groups: Vec<PaneGroup>,
    pub(super) panes: Vec<Pane>,
    pub(super) arrows: Vec<Arrow>,
    /// What is left out.
    pub(super) notes: Vec<String>,
    /// The most memory that a node has.
    pub(super) most_memory: Bytes,
}

/// A line of the heading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) look: Look,
    pub(super) text: String,
}

/// The panes of a socket, or those that are in no frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PaneGroup {
    /// `None` for no frame.
    pub(super) title: Option<String>,
    /// Indexes of panes.
    pub(super) panes: Vec<usize>,
}

/// What a pane stands for: one node, several nodes to all of which a GPU is attached, or none that is known.
pub(super) type Seat = NodeSet;

/// A node, with all that is on it.
#[derive(Debug, Default)]
pub(super) struct Pane {
    pub(super) seat: Seat,
    pub(super) title: String,
    /// Its CPUs, the longest text first; empty for a pane that is no single node.
    pub(super) cpus: Vec<String>,
    /// The size of its memory.
    pub(super) size: Option<String>,
    /// In a map, the distances to other nodes: `12 to 1-3`.
    pub(super) distances: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// Processes of several GPUs, at least one of which is here.
    pub(super) shared: Vec<Strip>,
    /// Those whose GPUs are elsewhere.
    pub(super) lanes: Vec<Lane>,
    /// Further remarks, a line each.
    pub(super) lines: Vec<String>,
    /// `None` where no processes were looked at.
    pub(super) memory: Option<Bar>,
    /// Whether nothing is on it.
    pub(super) is_empty: bool,
}

impl Pane {
    /// CPUs and memory, the longest text first.
    pub(super) fn details(&self) -> Vec<String> {
        let both = self
            .cpus
            .iter()
            .filter_map(|cpus| Some(format!("{cpus} · {}", self.size.as_ref()?)));
        both.chain(self.cpus.last().cloned()).collect()
    }

    /// `GPU 0`, `GPUs 0-3`, or nothing.
    pub(super) fn gpus(&self) -> Option<String> {
        let team: Vec<u32> = self.columns.iter().map(|column| column.gpu).collect();
        (!team.is_empty()).then(|| gpus(&team))
    }
}

/// A GPU with the processes that are local to it.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub(super) gpu: u32,
    /// The product, without the vendor.
    pub(super) model: String,
    /// Lines below the GPU.
    pub(super) lines: Vec<String>,
    pub(super) chips: Vec<Chip>,
}

/// Processes of one GPU with the same text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chip {
    pub(super) look: Look,
    /// Whether they run elsewhere: then this is their empty place.
    pub(super) is_away: bool,
    /// How many they are.
    pub(super) count: usize,
    /// `trainer 1010`, `4 workers`
    pub(super) text: String,
    /// Further remarks.
    pub(super) notes: Vec<String>,
    /// Of each process a line.
    pub(super) tip: String,
}

/// Processes that have a line of their own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strip {
    pub(super) look: Look,
    pub(super) is_away: bool,
    /// The indexes of their GPUs.
    pub(super) team: Vec<u32>,
    pub(super) text: String,
    /// At the right: how much of their memory is here, or where they run.
    pub(super) side: String,
    pub(super) tip: String,
    /// Whether only their memory is here.
    pub(super) is_memory: bool,
}

/// Strips with the same heading.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lane {
    pub(super) look: Look,
    pub(super) heading: &'static str,
    pub(super) strips: Vec<Strip>,
}

/// Where an arrow begins: a pane, and in it the column of one GPU or a strip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Column(usize),
    Shared(usize),
    Lane(usize, usize),
}

/// A slot of a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) pane: usize,
    pub(super) slot: Slot,
}

/// From GPUs to where their processes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) from: Origin,
    pub(super) to: Origin,
    pub(super) look: Look,
    /// Whether only memory is there.
    pub(super) is_memory: bool,
}

/// The document with its GPUs, and its processes by their GPUs.
struct Grouped<'a> {
    document: &'a Document,
    gpus: BTreeMap<u32, &'a GpuEntry>,
    /// The GPUs that are drawn, and their seats.
    seats: BTreeMap<u32, Seat>,
    /// The processes with GPUs, by these.
    teams: BTreeMap<Vec<u32>, Vec<&'a ProcessEntry>>,
    /// Processes whose place is not judged by a GPU.
    others: Vec<&'a ProcessEntry>,
}

impl<'a> Grouped<'a> {
    fn new(document: &'a Document) -> Self {
        let gpus = document.topology.gpus.iter();
        let gpus: BTreeMap<u32, &GpuEntry> = gpus.map(|gpu| (gpu.index, gpu)).collect();
        let mut teams: BTreeMap<Vec<u32>, Vec<&ProcessEntry>> = BTreeMap::new();
        let mut others = Vec::new();
        for process in document.processes() {
            let is_judged = !process.is(Role::Launcher) && !process.is(Role::Helper);
            if is_judged && !process.gpus.is_empty() {
                let team: BTreeSet<u32> = process.gpus.iter().copied().collect();
                teams
                    .entry(team.into_iter().collect())
                    .or_default()
                    .push(process);
            } else {
                others.push(process);
            }
        }
        let used: BTreeSet<u32> = teams.keys().flatten().copied().collect();
        let in_scope = gpus.values().filter(|gpu| gpu.in_scope.unwrap_or(true));
        let shown = in_scope.map(|gpu| gpu.index).chain(used);
        let seat = |index: u32| (index, place::seat(gpus.get(&index).copied()));
        Self {
            document,
            seats: shown.map(seat).collect(),
            gpus,
            teams,
            others,
        }
    }

    /// The seats of these GPUs.
    fn seats_of(&self, team: &[u32]) -> BTreeSet<&Seat> {
        team.iter().filter_map(|gpu| self.seats.get(gpu)).collect()
    }
}

/// Arranges a document.
pub(super) fn diagram(document: &Document) -> Diagram {
    let grouped = Grouped::new(document);
    let (panes, notes) = panes::panes(&grouped);
    let arrows = arrows::arrows(&panes);
    let totals = panes
        .iter()
        .filter_map(|pane| Some(pane.memory.as_ref()?.total()));
    Diagram {
        result: heading::result(document),
        lines: heading::lines(document),
        groups: nodes::groups(document, &panes),
        most_memory: totals.max().unwrap_or_default(),
        panes,
        arrows,
        notes,
    }
}

/// The node's name.
fn named(node: NodeId) -> String {
    format!("node {node}")
}

/// `node 1`, `nodes 0-3`
fn all_named(nodes: &NodeSet) -> String {
    let list = crate::units::node_list(nodes);
    match nodes.len() {
        1 => format!("node {list}"),
        _ => format!("nodes {list}"),
    }
}
