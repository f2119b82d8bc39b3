//! On which node a GPU hangs, and how that is known. A guess is worse than `unknown`: -1 is never
//! taken for node 0.

use std::collections::BTreeMap;

pub use crate::document::words::HomeSource;
use crate::jobs::attribution::GpuSource;
use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::{Evidence, Gpu};
use crate::machine::topology::{Places, Topology};
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
    pub places: Places,
}

/// What the sources are asked about.
struct Question<'a> {
    gpu: &'a Gpu,
    topology: &'a Topology,
    hints: &'a Hints,
}

/// A source of home nodes: what it says of a GPU; `None` where it says nothing.
type Rung = (HomeSource, fn(&Question) -> Option<NodeSet>);

/// The sources, the first of them that answers is believed.
const LADDER: &[Rung] = &[
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
    /// How it is known that this process works on it; `None` where nothing says so.
    pub fn used_by(&self, pid: Pid) -> Option<GpuSource> {
        let mut contexts = self.gpu.contexts.iter().flatten();
        match contexts.any(|context| context.pid == pid) {
            true => Some(GpuSource::Nvml),
            false => self.gpu.users.get(&pid).map(|evidence| match evidence {
                Evidence::Files => GpuSource::Fd,
                Evidence::Kfd => GpuSource::Kfd,
                Evidence::Drm => GpuSource::Drm,
                Evidence::Environment => GpuSource::Environ,
            }),
        }
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
    let used = gpu.used_by_nobody().filter(|_| gpu.users.is_empty())?;
    Some(Gap {
        pid: None,
        fact: Fact::GpuProcesses(gpu.index),
        reason: Reason::InUseByNobody(used),
    })
}
