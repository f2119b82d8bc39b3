//! torchrun's --numa-binding. What each mode does is in PyTorch's torch/numa/binding.py: it takes the node from numa_node of the
//! GPU with the number LOCAL_RANK among the visible ones, and of its CPUs those that torchrun itself may use.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::machine::{allowed, core_of, gpu_of, node_cpus};
use super::words::{FIRST_TOUCH, comments, devices_before, devices_note, loaders_note};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::print::plan::Inexpressible;
use crate::units::{Cpu, CpuSet, NodeId};
use crate::words::HomeSource;

/// The command, with the mode that gives the plan.
///
/// # Errors
/// Where none does.
pub(super) fn command(plan: &PlanDocument, map: &Document) -> Result<String, Inexpressible> {
    let ranks = plan.ranks.iter();
    let homes: Result<Vec<NodeId>, Inexpressible> = ranks.map(|rank| home(rank, map)).collect();
    let homes = homes?;
    let modes = [
        ("node", node(&homes, map)),
        ("exclusive", exclusive(&homes, map)),
        ("socket", socket(&homes, map)),
    ];
    let is_plan = |cpus: &[CpuSet]| plan.ranks.iter().map(|rank| &rank.cpus).eq(cpus);
    let mut equal = modes
        .iter()
        .filter(|(_, cpus)| cpus.as_deref().is_ok_and(is_plan));
    let Some((mode, _)) = equal.next() else {
        let differences = modes
            .iter()
            .map(|(mode, cpus)| difference(plan, mode, cpus));
        let differences = differences.collect::<Vec<_>>().join("; ");
        return Err(Inexpressible(format!(
            "{differences}; --format sh makes a wrapper for torchrun --no-python"
        )));
    };
    let mut out = comments(plan);
    out += "# For PyTorch 2.9 and later; numactl must be installed.\n";
    out += FIRST_TOUCH;
    out += loaders_note(plan);
    out += devices_note(plan, map);
    let (devices, count) = (devices_before(plan, map), plan.ranks.len());
    let _ = writeln!(
        out,
        "{devices}torchrun --nproc-per-node={count} --numa-binding={mode} train.py"
    );
    Ok(out)
}

/// The node that torchrun takes for a rank.
fn home(rank: &PlannedRank, map: &Document) -> Result<NodeId, Inexpressible> {
    let gpu = gpu_of(rank, map);
    let answer = gpu.and_then(|gpu| gpu.home_answers.get(&HomeSource::Sysfs.into()));
    let mut nodes = answer.into_iter().flatten();
    let node = nodes.next().copied();
    // It takes -1 for node 0, which is right where there is no other.
    let only = match map.topology.nodes.as_slice() {
        [only] if only.id == NodeId(0) => Some(only.id),
        _ => None,
    };
    node.or(only).ok_or_else(|| {
        Inexpressible(format!(
            "the kernel does not report the node of GPU {}, and torchrun would take node 0; --format sh makes a wrapper for \
             torchrun --no-python",
            rank.gpu
        ))
    })
}

/// The CPUs of each rank, or why this mode fails.
type Bound = Result<Vec<CpuSet>, String>;

fn node(homes: &[NodeId], map: &Document) -> Bound {
    let cpus = homes
        .iter()
        .map(|home| allowed(&node_cpus(*home, map), map));
    Ok(cpus.collect())
}

/// Equal parts of the cores of a node, by their lowest CPUs; the lower numbers get what is left.
fn exclusive(homes: &[NodeId], map: &Document) -> Bound {
    let mut shares = vec![CpuSet::default(); homes.len()];
    for (rank, home) in homes.iter().enumerate() {
        let cores = cores(*home, map)?;
        let on_it: Vec<usize> = (0..homes.len()).filter(|of| homes[*of] == *home).collect();
        let (each, more) = (cores.len() / on_it.len(), cores.len() % on_it.len());
        if each == 0 {
            return Err(format!("node {home} has fewer cores than GPUs"));
        }
        let position = on_it.iter().take_while(|of| **of < rank).count();
        let start = position * each + position.min(more);
        let count = each + usize::from(position < more);
        let own = cores.iter().skip(start).take(count);
        shares[rank] = own.flat_map(CpuSet::iter).collect();
    }
    Ok(shares)
}

/// The allowed CPUs of a node, by core.
fn cores(node: NodeId, map: &Document) -> Result<Vec<CpuSet>, String> {
    let mut cores: BTreeMap<Option<Cpu>, CpuSet> = BTreeMap::new();
    for cpu in allowed(&node_cpus(node, map), map).iter() {
        let core = core_of(cpu, map).ok_or("it is unknown which CPUs are the same core")?;
        cores.entry(core.iter().next()).or_default().insert(cpu);
    }
    Ok(cores.into_values().collect())
}

/// The CPUs of all nodes of the node's socket.
fn socket(homes: &[NodeId], map: &Document) -> Bound {
    let nodes = map.topology.nodes.iter();
    let cpus = nodes.map(|node| (node.id, allowed(&node_cpus(node.id, map), map)));
    let cpus: BTreeMap<NodeId, CpuSet> = cpus.collect();
    let package = |cpus: &CpuSet| {
        let first = cpus.iter().next()?;
        let mut cores = map.topology.cores.iter();
        let core = cores.find(|core| core.cpus.contains(first))?;
        Some(core.package)
    };
    // It looks for the socket of each node, by its lowest CPU.
    let packages = cpus.iter().map(|(node, cpus)| {
        let package = package(cpus)
            .ok_or_else(|| format!("it fails at node {node}: no CPU of it is known to be usable"));
        Ok((*node, package?))
    });
    let packages: Result<BTreeMap<NodeId, u32>, String> = packages.collect();
    let packages = packages?;
    let of_socket = |home: &NodeId| {
        let on_it = cpus
            .iter()
            .filter(|(node, _)| packages.get(node) == packages.get(home));
        on_it.flat_map(|(_, cpus)| cpus.iter()).collect()
    };
    Ok(homes.iter().map(of_socket).collect())
}

fn difference(plan: &PlanDocument, mode: &str, bound: &Bound) -> String {
    let bound = match bound {
        Ok(bound) => bound,
        Err(why) => return format!("--numa-binding={mode}: {why}"),
    };
    let mut ranks = plan.ranks.iter().zip(bound);
    match ranks.find(|(rank, cpus)| rank.cpus != **cpus) {
        Some((rank, cpus)) => format!(
            "--numa-binding={mode} binds rank {} to CPUs {cpus} instead of {}",
            rank.rank, rank.cpus
        ),
        None => format!("--numa-binding={mode} gives other ranks"),
    }
}
