//! On which node a GPU hangs, and how that is known. A guess is worse than `unknown`: -1 is never
//! taken for node 0.

use std::fmt;

use crate::model::gap::{Fact, Gap, Reason};
use crate::model::gpu::Gpu;
use crate::model::memory::Bytes;
use crate::model::process::Pid;
use crate::model::topology::{NodeSet, Topology};

/// A GPU with its place.
#[derive(Debug, Clone)]
pub struct GpuPlace {
    /// As it was observed.
    pub gpu: Gpu,
    /// The nodes that it is attached to. Empty where that is not known.
    pub home_nodes: NodeSet,
    /// How that was learnt.
    pub source: HomeSource,
    /// Where a process of it should run: the home nodes that have CPUs or, where none has, the
    /// nearest that do. Empty where these are not known.
    pub local_nodes: NodeSet,
}

/// Who told a GPU's home nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HomeSource {
    /// `numa_node` of its PCI device.
    Sysfs,
    /// Only one node of the machine has CPUs.
    SingleNode,
    /// Nobody.
    Unknown,
}

impl fmt::Display for HomeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sysfs => "sysfs",
            Self::SingleNode => "single-node",
            Self::Unknown => "unknown",
        })
    }
}

/// A source of home nodes: what it says of a GPU, empty where it says nothing.
type Rung = (HomeSource, fn(&Gpu, &Topology) -> NodeSet);

/// The sources; the first that speaks is believed.
const LADDER: &[Rung] = &[
    (HomeSource::Sysfs, |gpu, _| {
        gpu.sysfs_node.into_iter().collect()
    }),
    (HomeSource::SingleNode, |_, topology| {
        topology.single_node().into_iter().collect()
    }),
];

impl GpuPlace {
    /// Whether the driver says that this process has a context on it.
    pub fn is_used_by(&self, pid: Pid) -> bool {
        let mut contexts = self.gpu.contexts.iter().flatten();
        contexts.any(|context| context.pid == pid)
    }
}

/// Finds a GPU's home.
pub fn place(gpu: Gpu, topology: &Topology) -> GpuPlace {
    let answers = LADDER
        .iter()
        .map(|(source, ask)| (*source, ask(&gpu, topology)));
    let mut spoken = answers.filter(|(_, nodes)| !nodes.is_empty());
    let (source, home_nodes) = spoken
        .next()
        .unwrap_or((HomeSource::Unknown, NodeSet::new()));
    GpuPlace {
        local_nodes: local_nodes(&home_nodes, topology),
        gpu,
        home_nodes,
        source,
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
    let why = match (place.local_nodes.is_empty(), place.home_nodes.is_empty()) {
        (false, _) => return None,
        (true, true) => "the kernel does not tell (numa_node)",
        (true, false) => {
            "it has no CPUs, and no distances tell which node with CPUs is the nearest"
        }
    };
    Some(Gap {
        pid: None,
        fact: Fact::GpuHomeNode(place.gpu.index),
        reason: Reason::Failed(why.to_owned()),
    })
}

/// GPU memory in use below this is the driver's own: an idle GPU was seen with some MiB.
const DRIVERS_OWN: Bytes = Bytes(128 << 20);

/// In another PID namespace the driver's lists are empty without a word, and memory is in use all the same.
fn hidden_users(place: &GpuPlace) -> Option<Gap> {
    let gpu = &place.gpu;
    let used = gpu.memory_used.filter(|used| *used > DRIVERS_OWN)?;
    let nobody = gpu.contexts.as_ref().is_some_and(Vec::is_empty);
    nobody.then(|| Gap {
        pid: None,
        fact: Fact::GpuProcesses(gpu.index),
        reason: Reason::Failed(format!(
            "{used} in use by processes that are not visible here: another PID namespace; run on the host or \
             with the host's PID namespace"
        )),
    })
}
