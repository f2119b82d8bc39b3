//! The NUMA node that a GPU is attached to, and how it is known. A guess is worse than `unknown`: -1 is never taken for
//! node 0.

use crate::words::{Evidence, HomeSource};
use std::collections::BTreeMap;

use crate::machine::{Fact, Gap, Gpu, Node, PciNodes, PciPlace, Reason, Topology};
use crate::units::{NodeId, NodeSet, Pid, node_list};

/// A GPU with its home nodes.
#[derive(Debug, Clone)]
pub(crate) struct GpuPlace {
    /// As it was observed.
    pub(crate) gpu: Gpu,
    /// The nodes that the GPU is attached to. Empty if unknown.
    pub(crate) home_nodes: NodeSet,
    /// The source of `home_nodes`.
    pub(crate) source: HomeSource,
    /// The answers of all sources, the most trusted first. An answer with several nodes is ambiguous and not used, except
    /// in an override.
    pub(crate) answers: Vec<(HomeSource, NodeSet)>,
    /// The answers that name nodes which do not exist here, with these nodes. Such an answer is not used.
    pub(crate) absent: Vec<(HomeSource, NodeSet)>,
    /// Where a process of this GPU should run: the home nodes that have CPUs or, if none has, the nearest nodes that have.
    /// Empty if unknown.
    pub(crate) local_nodes: NodeSet,
    /// Where its memory should be: the home nodes that have memory or, if none has, the nearest nodes that have. Empty if
    /// unknown.
    pub(crate) local_memory_nodes: NodeSet,
    /// The nodes that a topology file names for it in different places, of which none can be believed. Empty where the file
    /// does not contradict itself.
    pub(crate) file_contradiction: NodeSet,
}

/// Home nodes from the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hints {
    /// `--gpu-node`, by GPU index.
    pub(crate) overrides: BTreeMap<u32, NodeSet>,
    /// `--topology`, by PCI address.
    pub(crate) places: PciNodes,
    /// The typed names of GPUs that are not known, where it is unknown whether they exist.
    pub(crate) unknown_gpus: Vec<String>,
}

impl GpuPlace {
    /// `sysfs says node 6, which does not exist here`
    pub(crate) fn absent_nodes(&self) -> String {
        let absent = self.absent.iter().map(|(source, nodes)| {
            let (noun, verb) = match nodes.len() {
                1 => ("node", "does"),
                _ => ("nodes", "do"),
            };
            let nodes = node_list(nodes);
            format!("{source} says {noun} {nodes}, which {verb} not exist here")
        });
        absent.collect::<Vec<_>>().join("; ")
    }

    /// How it is known that a process uses this GPU; `None` if no source says so.
    pub(crate) fn used_by(&self, pid: Pid) -> Option<Evidence> {
        self.gpu.used_by(pid)
    }

    /// The sources that contradict the home node. Some sources can only name nodes with CPUs: if the home node has none,
    /// they name the nearest node with CPUs, which is not a contradiction.
    pub(crate) fn contradictions(&self) -> impl Iterator<Item = &(HomeSource, NodeSet)> {
        let is_near = |nodes: &NodeSet| {
            !nodes.is_disjoint(&self.home_nodes) || !nodes.is_disjoint(&self.local_nodes)
        };
        let answers = self.answers.iter();
        answers.filter(move |(_, nodes)| nodes.len() == 1 && !is_near(nodes))
    }
}

/// Finds the home nodes of each GPU.
pub(crate) fn place(gpus: Vec<Gpu>, topology: &Topology, hints: &Hints) -> Vec<GpuPlace> {
    let gpu_memory = gpus.iter().filter_map(|gpu| gpu.own_memory_node).collect();
    let gpus = gpus.into_iter();
    gpus.map(|gpu| place_one(gpu, topology, &gpu_memory, hints))
        .collect()
}

/// `gpu_memory` are the nodes that are memory of a GPU: they stand in for no other node.
fn place_one(gpu: Gpu, topology: &Topology, gpu_memory: &NodeSet, hints: &Hints) -> GpuPlace {
    let typed = hints.overrides.get(&gpu.index).cloned();
    let by_file = gpu
        .address
        .and_then(|address| hints.places.get(&address).cloned());
    let (by_file, file_contradiction) = match by_file {
        Some(PciPlace::Near(nodes)) => (Some(nodes), NodeSet::new()),
        Some(PciPlace::Contradictory(nodes)) => (None, nodes),
        None => (None, NodeSet::new()),
    };
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
    for (source, nodes) in &mut answers {
        if *source != HomeSource::Override {
            leave_out_memory_only(nodes, topology);
        }
    }
    // By source, and so in the order in which they are believed.
    let answers: Vec<_> = answers.into_iter().collect();
    let is_clear = |(source, nodes): &&(HomeSource, NodeSet)| {
        let is_one = nodes.len() == 1 || *source == HomeSource::Override;
        is_one && missing_nodes(nodes, topology).is_empty()
    };
    let believed = answers.iter().find(is_clear).cloned();
    let (source, home_nodes) = believed.unwrap_or((HomeSource::Unknown, NodeSet::new()));
    let absent = answers.iter().filter_map(|(source, nodes)| {
        let missing = missing_nodes(nodes, topology);
        (!missing.is_empty()).then_some((*source, missing))
    });
    GpuPlace {
        absent: absent.collect(),
        local_nodes: local_nodes(&home_nodes, topology),
        local_memory_nodes: local_memory_nodes(&home_nodes, topology, gpu_memory),
        gpu,
        home_nodes,
        source,
        answers,
        file_contradiction,
    }
}

/// Where exactly one of several nodes has CPUs, only that one is left. A socket with DDR and HBM has a node of each, and a
/// source that names the socket (hwloc, NVML) names both: the GPU is attached to the socket, whose CPUs are in one of them.
fn leave_out_memory_only(nodes: &mut NodeSet, topology: &Topology) {
    let are_known = |nodes: &NodeSet| {
        let mut nodes = nodes.iter().map(|id| topology.nodes().get(id));
        nodes.all(|node| node.is_some_and(|node| node.cpus.is_some()))
    };
    let bearing = topology.cpu_bearing();
    let with_cpus: NodeSet = nodes.intersection(&bearing).copied().collect();
    if with_cpus.len() == 1 && are_known(nodes) {
        *nodes = with_cpus;
    }
}

/// Those of `nodes` that do not exist here. None where the nodes of this machine are not known.
fn missing_nodes(nodes: &NodeSet, topology: &Topology) -> NodeSet {
    let known = topology.nodes();
    let missing = nodes
        .iter()
        .filter(|node| !known.is_empty() && !known.contains_key(node));
    missing.copied().collect()
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

/// The home nodes that have memory or, if none has, the nearest nodes that have.
pub(crate) fn local_memory_nodes(
    home: &NodeSet,
    topology: &Topology,
    gpu_memory: &NodeSet,
) -> NodeSet {
    let may_have_memory = |id: &&NodeId| {
        let node = topology.nodes().get(*id);
        node.is_some_and(Node::may_have_memory)
    };
    let with_memory: NodeSet = home.iter().filter(may_have_memory).copied().collect();
    if with_memory.is_empty() {
        topology.nearest_with_memory(home, gpu_memory)
    } else {
        with_memory
    }
}

/// What is unknown about the home nodes and the processes of a GPU.
pub(crate) fn gaps(place: &GpuPlace) -> impl Iterator<Item = Gap> {
    let home = unknown_home(place).or_else(|| contradictory_file(place));
    home.into_iter().chain(hidden_users(place))
}

/// A gap if the topology file contradicts itself and another source has the home node.
fn contradictory_file(place: &GpuPlace) -> Option<Gap> {
    Some(Gap {
        pid: None,
        fact: Fact::GpuFilePlace(place.gpu.index),
        reason: Reason::Failed(contradiction(place)?),
    })
}

fn contradiction(place: &GpuPlace) -> Option<String> {
    let nodes = &place.file_contradiction;
    let named = match nodes.len() {
        0 => return None,
        1 => format!("node {} and elsewhere another or none", node_list(nodes)),
        _ => format!("different nodes ({})", node_list(nodes)),
    };
    Some(format!(
        "the topology file gives it {named}, as a file of several hosts does: it must describe this machine alone"
    ))
}

/// A gap if the local nodes of a GPU are unknown.
fn unknown_home(place: &GpuPlace) -> Option<Gap> {
    if !place.local_nodes.is_empty() && !place.local_memory_nodes.is_empty() {
        return None;
    }
    let is_absent = |source: &HomeSource| place.absent.iter().any(|(of, _)| of == source);
    let several = place
        .answers
        .iter()
        .filter(|(source, _)| !is_absent(source))
        .map(|(source, nodes)| format!("{source} names several nodes ({})", node_list(nodes)));
    let several: Vec<String> = several.chain(contradiction(place)).collect();
    let why = match (place.home_nodes.is_empty(), several.is_empty()) {
        (true, true) if !place.absent.is_empty() => format!(
            "{}: set it with --gpu-node or --topology",
            place.absent_nodes()
        ),
        (true, true) => "no source has it: set it with --gpu-node or --topology".to_owned(),
        (true, false) => format!(
            "ambiguous: {}; set it with --gpu-node or --topology",
            several.join(", ")
        ),
        (false, _) if place.local_nodes.is_empty() => {
            "the nearest node with CPUs is unknown".to_owned()
        }
        (false, _) => "it has no memory, and the nearest node with memory is unknown".to_owned(),
    };
    Some(Gap {
        pid: None,
        fact: Fact::GpuHomeNode(place.gpu.index),
        reason: Reason::Failed(why),
    })
}

/// A gap if the driver lists no process of a GPU and the GPU is in use, or may be: in another PID namespace NVML's lists are
/// empty.
fn hidden_users(place: &GpuPlace) -> Option<Gap> {
    let gpu = &place.gpu;
    if !gpu.users.is_empty() {
        return None;
    }
    let reason = match gpu.used_without_process() {
        Some(used) => Reason::InUseByHidden(used),
        None if gpu.is_use_unknown() => Reason::Failed(
            "the NVIDIA driver lists none and does not report the memory in use: in another PID namespace its lists are empty"
                .into(),
        ),
        None => return None,
    };
    Some(Gap {
        pid: None,
        fact: Fact::GpuProcesses(gpu.index),
        reason,
    })
}
