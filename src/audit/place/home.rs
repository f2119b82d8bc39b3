//! On which node a GPU hangs, and how that is known. A guess is worse than `unknown`: -1 is never
//! taken for node 0.

use std::collections::BTreeMap;

use crate::machine::evidence::Evidence;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::{Gpu, HomeSource};
use crate::machine::topology::{PciNodes, Topology};
use crate::units::{NodeSet, Pid, node_list};

/// A GPU with its place.
#[derive(Debug, Clone)]
pub struct GpuPlace {
    /// As it was observed.
    pub gpu: Gpu,
    /// The nodes that it is attached to. Empty where that is not known.
    pub home_nodes: NodeSet,
    /// How that was learnt.
    pub source: HomeSource,
    /// All that the sources say, in the order in which they are believed. Several nodes are no answer, but in an
    /// override.
    pub answers: Vec<(HomeSource, NodeSet)>,
    /// Where a process of it should run: the home nodes that have CPUs or, where none has, the
    /// nearest that do. Empty where these are not known.
    pub local_nodes: NodeSet,
}

/// What a person or a file says of GPUs' places.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// By the GPU's index.
    pub overrides: BTreeMap<u32, NodeSet>,
    /// A topology file's.
    pub places: PciNodes,
}

impl GpuPlace {
    /// How it is known that this process works on it; `None` where nothing says so.
    pub fn used_by(&self, pid: Pid) -> Option<Evidence> {
        self.gpu.used_by(pid)
    }

    /// The sources that name another node than the one that is believed. Some can only name nodes with CPUs: where
    /// the home has none, they name the nearest.
    pub fn contradictions(&self) -> impl Iterator<Item = &(HomeSource, NodeSet)> {
        let is_near = |nodes: &NodeSet| {
            !nodes.is_disjoint(&self.home_nodes) || !nodes.is_disjoint(&self.local_nodes)
        };
        let answers = self.answers.iter();
        answers.filter(move |(_, nodes)| nodes.len() == 1 && !is_near(nodes))
    }
}

/// Finds a GPU's home.
pub fn place(gpu: Gpu, topology: &Topology, hints: &Hints) -> GpuPlace {
    let typed = hints.overrides.get(&gpu.index).cloned();
    let by_file = gpu
        .address
        .and_then(|address| hints.places.get(&address).cloned());
    let single = topology.single_node().map(|node| NodeSet::from([node]));
    let others = [
        (HomeSource::Override, typed),
        (HomeSource::TopologyFile, by_file),
        (HomeSource::SingleNode, single),
    ];
    let mut answers = gpu.home_answers.clone();
    answers.extend(
        others
            .into_iter()
            .filter_map(|(source, nodes)| Some((source, nodes?))),
    );
    answers.retain(|_, nodes| !nodes.is_empty());
    // By source, and so in the order in which they are believed.
    let answers: Vec<_> = answers.into_iter().collect();
    let is_clear = |(source, nodes): &&(HomeSource, NodeSet)| {
        nodes.len() == 1 || *source == HomeSource::Override
    };
    let believed = answers.iter().find(is_clear).cloned();
    let (source, home_nodes) = believed.unwrap_or((HomeSource::Unknown, NodeSet::new()));
    GpuPlace {
        local_nodes: local_nodes(&home_nodes, topology),
        gpu,
        home_nodes,
        source,
        answers,
    }
}

/// The home nodes that have CPUs or, where none has, the nearest that have.
fn local_nodes(home: &NodeSet, topology: &Topology) -> NodeSet {
    let with_cpus: NodeSet = home
        .intersection(&topology.cpu_bearing())
        .copied()
        .collect();
    if with_cpus.is_empty() {
        topology.nearest_with_cpus(home)
    } else {
        with_cpus
    }
}

/// What is not known of a GPU's place and of its users.
pub fn gaps(place: &GpuPlace) -> impl Iterator<Item = Gap> {
    homeless(place).into_iter().chain(hidden_users(place))
}

/// A GPU for which nobody can say where its processes should run.
fn homeless(place: &GpuPlace) -> Option<Gap> {
    if !place.local_nodes.is_empty() {
        return None;
    }
    let several = place.answers.iter().map(|(source, nodes)| {
        format!(
            "{source} names nodes {}, which is no answer",
            node_list(nodes)
        )
    });
    let several: Vec<String> = several.collect();
    let why = match (place.home_nodes.is_empty(), several.is_empty()) {
        (true, true) => "no source tells it: give it with --gpu-node or --topology".to_owned(),
        (true, false) => format!(
            "ambiguous: {}; give it with --gpu-node or --topology",
            several.join(", ")
        ),
        (false, _) => "its nearest node with CPUs is not known".to_owned(),
    };
    Some(Gap {
        pid: None,
        fact: Fact::GpuHomeNode(place.gpu.index),
        reason: Reason::Failed(why),
    })
}

/// In another PID namespace the driver's lists are empty without a word, and memory is in use all the same.
fn hidden_users(place: &GpuPlace) -> Option<Gap> {
    let gpu = &place.gpu;
    let used = gpu
        .used_without_process()
        .filter(|_| gpu.users.is_empty())?;
    Some(Gap {
        pid: None,
        fact: Fact::GpuProcesses(gpu.index),
        reason: Reason::InUseByHidden(used),
    })
}
