//! Deals the cores of a node to its ranks.

use std::collections::BTreeMap;

use super::{NoPlan, RankPlace};
use crate::document::Document;
use crate::units::{CpuSet, node_list, ranges};

/// The CPUs of each rank: whole cores, each of one rank only. Ranks with the same CPUs get equal parts in the order of the CPUs'
/// numbers; where they cannot be equal, the lower GPUs get one core more, as torchrun --numa-binding=exclusive does it.
///
/// # Errors
/// Where it is unknown which CPUs are one core, or there are fewer cores than ranks.
pub(super) fn cores(places: &[RankPlace], map: &Document) -> Result<Vec<CpuSet>, NoPlan> {
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (rank, place) in places.iter().enumerate() {
        groups.entry(place.cpus.to_string()).or_default().push(rank);
    }
    let mut shares = vec![CpuSet::default(); places.len()];
    let mut taken = CpuSet::default();
    let mut impossible = Vec::new();
    for mut ranks in groups.into_values() {
        ranks.sort_by_key(|rank| places[*rank].gpu.index);
        let place = &places[ranks[0]];
        let cores = cores_of(&place.cpus, map)?;
        // Of GPUs that are attached to several nodes only some may be shared.
        let free = |core: &&CpuSet| core.iter().all(|cpu| !taken.contains(cpu));
        let cores: Vec<&CpuSet> = cores.iter().filter(free).collect();
        if cores.len() < ranks.len() {
            impossible.push(too_few(place, &ranks, cores.len(), places));
            continue;
        }
        let (each, more) = (cores.len() / ranks.len(), cores.len() % ranks.len());
        let mut left = cores.into_iter();
        for (position, rank) in ranks.into_iter().enumerate() {
            let count = each + usize::from(position < more);
            shares[rank] = left.by_ref().take(count).flat_map(CpuSet::iter).collect();
        }
        shares
            .iter()
            .flat_map(CpuSet::iter)
            .for_each(|cpu| taken.insert(cpu));
    }
    match impossible.is_empty() {
        true => Ok(shares),
        false => Err(NoPlan::Impossible(impossible)),
    }
}

fn too_few(place: &RankPlace, ranks: &[usize], cores: usize, places: &[RankPlace]) -> String {
    let gpus = ranks.iter().map(|rank| places[*rank].gpu.index);
    format!(
        "GPUs {}: {} ranks, and node {} has only {cores} usable cores for them (CPUs {})",
        ranges(gpus),
        ranks.len(),
        node_list(&place.nodes),
        place.cpus
    )
}

/// The cores of these CPUs, each with those of its hardware threads that are among them, by the lowest CPU of the whole core.
fn cores_of(cpus: &CpuSet, map: &Document) -> Result<Vec<CpuSet>, NoPlan> {
    let mut all: Vec<&CpuSet> = map.topology.cores.iter().map(|core| &core.cpus).collect();
    all.sort_by_key(|core| core.iter().next());
    let usable = |core: &CpuSet| core.iter().filter(|cpu| cpus.contains(*cpu)).collect();
    let cores = all.into_iter().map(usable);
    let cores: Vec<CpuSet> = cores.filter(|core: &CpuSet| !core.is_empty()).collect();
    let known: CpuSet = cores.iter().flat_map(CpuSet::iter).collect();
    match known == *cpus {
        true => Ok(cores),
        false => Err(NoPlan::Unknown(vec![format!(
            "it is unknown which of the CPUs {cpus} are the same core: without --exclusive the ranks of a node share its CPUs"
        )])),
    }
}

/// The CPUs for the loader processes of a rank that has these: all but its first core, if a CPU for each is left then.
pub(super) fn for_workers(cpus: &CpuSet, map: &Document, workers: u32) -> CpuSet {
    let Ok(cores) = cores_of(cpus, map) else {
        return cpus.clone();
    };
    let without_first: CpuSet = cores.iter().skip(1).flat_map(CpuSet::iter).collect();
    let is_enough = without_first.iter().count() >= workers.max(1) as usize;
    if is_enough {
        without_first
    } else {
        cpus.clone()
    }
}
