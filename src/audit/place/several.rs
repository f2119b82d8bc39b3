//! A process with GPUs on several nodes: no place is right for all of them.

use crate::audit::Limits;
use crate::audit::place::{CpuPlace, GpuPlace, MemoryKind, MemoryPlace};
use crate::units::{Bytes, NodeBytes, NodeSet};

/// The GPUs that a process feeds from other nodes than theirs, by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FedFromElsewhere {
    /// Those on whose nodes none of its CPUs is, while CPUs of other GPUs are allowed.
    pub(crate) by_cpus: Vec<u32>,
    /// Those on whose nodes almost none of its pinned memory is, while other GPUs have it.
    pub(crate) by_pinned: Vec<u32>,
}

impl FedFromElsewhere {
    /// `None` if all GPUs are on the same nodes, if the nodes of one of them are unknown, and if no GPU is fed from elsewhere.
    pub(crate) fn of(
        gpus: &[&GpuPlace],
        cpu: &CpuPlace,
        memory: &MemoryPlace,
        limits: &Limits,
    ) -> Option<Self> {
        let first = gpus.first()?;
        let is_known = gpus.iter().all(|gpu| !gpu.local_nodes.is_empty());
        if !is_known || gpus.iter().all(|gpu| gpu.local_nodes == first.local_nodes) {
            return None;
        }
        let fed = Self {
            by_cpus: some(gpus, |gpu| {
                !cpu.affinity_nodes.is_empty() && cpu.affinity_nodes.is_disjoint(&gpu.local_nodes)
            }),
            by_pinned: without_pinned(gpus, memory, limits),
        };
        (fed != Self::default()).then_some(fed)
    }

    /// All of them.
    pub(crate) fn gpus(&self) -> Vec<u32> {
        let mut gpus = [self.by_cpus.as_slice(), &self.by_pinned].concat();
        gpus.sort_unstable();
        gpus.dedup();
        gpus
    }
}

/// The GPUs for which this holds, unless it holds for all of them: then the whole process is elsewhere, and other rules say so.
fn some(gpus: &[&GpuPlace], is_fed: impl Fn(&GpuPlace) -> bool) -> Vec<u32> {
    let fed = gpus.iter().filter(|gpu| is_fed(gpu));
    let fed: Vec<u32> = fed.map(|gpu| gpu.gpu.index).collect();
    if fed.len() == gpus.len() {
        Vec::new()
    } else {
        fed
    }
}

/// The GPUs that have less than a tenth of the pinned memory that they would have, were it shared out evenly by nodes.
fn without_pinned(gpus: &[&GpuPlace], memory: &MemoryPlace, limits: &Limits) -> Vec<u32> {
    let pages = memory.pages.as_ref();
    let Some(pinned) = pages.and_then(|pages| pages.by_kind.get(&MemoryKind::Pinned)) else {
        return Vec::new();
    };
    let all: Bytes = pinned.values().copied().sum();
    let places: std::collections::BTreeSet<&NodeSet> =
        gpus.iter().map(|gpu| &gpu.local_nodes).collect();
    let even_share = Bytes(all.0 / places.len().max(1) as u64);
    some(gpus, |gpu| {
        let near = near_memory(gpu);
        let here = on(pinned, &near);
        let missing = Bytes(even_share.0.saturating_sub(here.0));
        limits.exceeds(missing, even_share) && here.0 < even_share.0 / 10
    })
}

fn near_memory(gpu: &GpuPlace) -> NodeSet {
    let mut near = &gpu.local_memory_nodes | &gpu.local_nodes;
    near.extend(gpu.gpu.own_memory_node);
    near
}

fn on(by_node: &NodeBytes, nodes: &NodeSet) -> Bytes {
    let here = by_node.iter().filter(|(node, _)| nodes.contains(node));
    here.map(|(_, bytes)| *bytes).sum()
}
