//! The variables of each rank.

use std::fmt::Write;

use super::words::{NO_DEVICES, comments, numactl_options, visible_devices};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::units::node_list;

/// A section for each rank.
pub(super) fn env(plan: &PlanDocument, map: &Document) -> String {
    let mut out = comments(plan);
    out += "# A section for each rank. With --dir DIR each is a file, DIR/rank0.env and so on, for a shell or a service.\n";
    for rank in &plan.ranks {
        let _ = write!(out, "\n{}", section(rank, plan, map));
    }
    out
}

/// The file of each rank, which a shell or a service (EnvironmentFile=) can take as it is: its name and its text.
pub(crate) fn files(plan: &PlanDocument, map: &Document) -> Vec<(String, String)> {
    let ranks = plan.ranks.iter();
    let file = |rank: &PlannedRank| {
        let text = comments(plan) + &section(rank, plan, map);
        (format!("rank{}.env", rank.rank), text)
    };
    ranks.map(file).collect()
}

fn section(rank: &PlannedRank, plan: &PlanDocument, map: &Document) -> String {
    let mut out = format!("# rank {}, GPU {}\n", rank.rank, rank.gpu);
    let _ = writeln!(out, "LOCAL_RANK={}", rank.rank);
    match visible_devices(plan, map) {
        Some(devices) => {
            let _ = writeln!(out, "CUDA_VISIBLE_DEVICES={devices}");
        }
        None => out += NO_DEVICES,
    }
    let _ = writeln!(out, "NUMA_CPUS={}", rank.cpus);
    let _ = writeln!(out, "NUMA_MEMORY_NODES={}", node_list(&rank.memory_nodes));
    let _ = writeln!(out, "NUMA_WORKER_CPUS={}", rank.worker_cpus);
    let _ = writeln!(out, "NUMACTL=\"numactl {}\"", numactl_options(rank));
    out
}
