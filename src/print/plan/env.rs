//! The variables of each rank.

use std::fmt::Write;

use super::words::{comments, numactl_options, visible_devices};
use crate::document::PlanDocument;
use crate::units::node_list;

/// A section for each rank, which a shell or a service file can take as it is.
pub(super) fn env(plan: &PlanDocument) -> String {
    let mut out = comments(plan);
    for rank in &plan.ranks {
        let _ = writeln!(out, "\n# rank {}, GPU {}", rank.rank, rank.gpu);
        let _ = writeln!(out, "LOCAL_RANK={}", rank.rank);
        if let Some(devices) = visible_devices(plan) {
            let _ = writeln!(out, "CUDA_VISIBLE_DEVICES={devices}");
        }
        let _ = writeln!(out, "NUMA_CPUS={}", rank.cpus);
        let _ = writeln!(out, "NUMA_MEMORY_NODES={}", node_list(&rank.memory_nodes));
        let _ = writeln!(out, "NUMA_WORKER_CPUS={}", rank.worker_cpus);
        let _ = writeln!(out, "NUMACTL=\"numactl {}\"", numactl_options(rank));
    }
    out
}
