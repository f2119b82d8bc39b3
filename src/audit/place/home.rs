//! The NUMA node that a GPU is attached to, and how it is known. A guess is worse than `unknown`: -1 is never taken for
//! node 0.

use std::collections::BTreeMap;

pub use crate::document::words::HomeSource;
use crate::machine::evidence::Evidence;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::Gpu;
use crate::machine::topology::{Places, Topology};
use crate::units::{NodeSet, Pid, node_list};

/// A GPU with its home nodes.
#[derive(Debug, Clone)]
pub struct GpuPlace {
    /// As it was observed.
    pub gpu: Gpu,
    /// The nodes that the GPU is attached to. Empty if unknown.
    pub home_nodes: NodeSet,
    /// The source of `home_nodes`.
    pub source: HomeSource,
    /// The answers of all sources, the most trusted first. An answer with several nodes is ambiguous and not used, except
    /// in an override.
    pub answers: Vec<(HomeSource, NodeSet)>,
    /// Where a process of this GPU should run: the home nodes that have CPUs or, if none has, the nearest nodes that have.
    /// Empty if unknown.
    pub local_nodes: NodeSet,
}

/// Home nodes from the command line.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `--gpu-node`, by GPU index.
    pub overrides: BTreeMap<u32, NodeSet>,
    /// `--topology`, by PCI address.
    pub places: Places,
}

/// What a source needs for its answer.
struct Question<'a> {
    gpu: &'a Gpu,
    topology: &'a Topology,
    hints: &'a Hints,
}

/// A source and its answer for a GPU; `None` if it has no answer.
type Lookup = (HomeSource, fn(&Question) -> Option<NodeSet>);

/// The sources in order of trust: the first answer is used.
const LADDER: &[Lookup] = &[
    (HomeSource::Override, |of| {
        of.hints.overrides.get(&of.gpu.index).cloned()
    }),
    (HomeSource::TopologyFile, |of| {
        of.hints.places.get(&of.gpu.address?).cloned()
    }),
    (HomeSource::Sysfs, |of| {
        Some(NodeSet::from([of.gpu.sysfs_node?]))
    }),
    (HomeSource::PciParent, |of| {
        Some(NodeSet::from([of.gpu.parent_node?]))
    }),
    (HomeSource::NvmlMemoryAffinity, |of| {
        of.gpu.memory_affinity.clone()
    }),
    (HomeSource::NvmlCpuAffinity, |of| {
        Some(of.topology.nodes_of(of.gpu.cpu_affinity.as_ref()?))
    }),
    (HomeSource::SingleNode, |of| {
        Some(NodeSet::from([of.topology.single_node()?]))
    }),
];

impl GpuPlace {
    /// How it is known that a process uses this GPU; `None` if no source says so.
    pub fn used_by(&self, pid: Pid) -> Option<Evidence> {
        self.gpu.used_by(pid)
    }

    /// The sources that contradict the home node. Some sources can only name nodes with CPUs: if the home node has none,
    /// they name the nearest node with CPUs, which is not a contradiction.
    pub fn contradictions(&self) -> impl Iterator<Item = &(HomeSource, NodeSet)> {
        let is_near = |nodes: &NodeSet| {
            !nodes.is_disjoint(&self.home_nodes) || !nodes.is_disjoint(&self.local_nodes)
        };
        let answers = self.answers.iter();
        answers.filter(move |(_, nodes)| nodes.len() == 1 && !is_near(nodes))
    }
}

/// Finds the home nodes of a GPU.
pub fn place(gpu: Gpu, topology: &Topology, hints: &Hints) -> GpuPlace {
    let question = Question {
        gpu: &gpu,
        topology,
        hints,
    };
    let answers = LADDER
        .iter()
        .filter_map(|(source, ask)| Some((*source, ask(&question)?)));
    let answers: Vec<_> = answers.filter(|(_, nodes)| !nodes.is_empty()).collect();
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

/// The home nodes that have CPUs or, if none has, the nearest nodes that have.
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

/// What is unknown about the home nodes and the processes of a GPU.
pub fn gaps(place: &GpuPlace) -> impl Iterator<Item = Gap> {
    unknown_home(place).into_iter().chain(hidden_users(place))
}

/// A gap if the local nodes of a GPU are unknown.
fn unknown_home(place: &GpuPlace) -> Option<Gap> {
    if !place.local_nodes.is_empty() {
        return None;
    }
    let several = place
        .answers
        .iter()
        .map(|(source, nodes)| format!("{source} names several nodes ({})", node_list(nodes)));
    let several: Vec<String> = several.collect();
    let why = match (place.home_nodes.is_empty(), several.is_empty()) {
        (true, true) => "no source has it: set it with --gpu-node or --topology".to_owned(),
        (true, false) => format!(
            "ambiguous: {}; set it with --gpu-node or --topology",
            several.join(", ")
        ),
        (false, _) => "the nearest node with CPUs is unknown".to_owned(),
    };
    Some(Gap {
        pid: None,
        fact: Fact::GpuHomeNode(place.gpu.index),
        reason: Reason::Failed(why),
    })
}

/// A gap if memory of a GPU is in use and no process is listed: in another PID namespace NVML's lists are empty.
fn hidden_users(place: &GpuPlace) -> Option<Gap> {
    let gpu = &place.gpu;
    let used = gpu.used_by_nobody().filter(|_| gpu.users.is_empty())?;
    Some(Gap {
        pid: None,
        fact: Fact::GpuProcesses(gpu.index),
        reason: Reason::InUseByNobody(used),
    })
}
