//! What the forms share: comments, and the option words of a rank.

use std::fmt::Write;

use crate::document::{PlanDocument, PlannedRank};
use crate::print::harmless;
use crate::units::{node_list, ranges};

/// The variables that have a rank's number on its machine, by launcher: torchrun, srun, Open MPI, MPICH, PALS.
pub(super) const LOCAL_RANK: [&str; 5] = [
    "LOCAL_RANK",
    "SLURM_LOCALID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "PALS_LOCAL_RANKID",
];

/// `numa-audit plan for HOST: 8 ranks on GPUs 0-7`, then the notes, each as a comment.
pub(super) fn comments(plan: &PlanDocument) -> String {
    let host = plan.hostname.as_deref();
    let host = host.map_or(String::new(), |host| format!(" for {}", harmless(host)));
    let count = plan.ranks.len();
    let s = if count == 1 { "" } else { "s" };
    let gpus = ranges(plan.ranks.iter().map(|rank| rank.gpu));
    let mut out = format!("# Made by numa-audit plan{host}: {count} rank{s} on GPU {gpus}.\n");
    for note in &plan.notes {
        let _ = writeln!(out, "# Note: {}.", harmless(note));
    }
    out
}

/// `--physcpubind=0-11,48-59 --membind=0`
pub(super) fn numactl_options(rank: &PlannedRank) -> String {
    format!(
        "--physcpubind={} --membind={}",
        rank.cpus,
        node_list(&rank.memory_nodes)
    )
}

/// The value of CUDA_VISIBLE_DEVICES that gives rank N the Nth device. `None` where a UUID is unknown or is not NVIDIA's.
pub(super) fn visible_devices(plan: &PlanDocument) -> Option<String> {
    let uuids = plan.ranks.iter().map(|rank| rank.uuid.as_deref());
    let uuids: Option<Vec<&str>> = uuids.collect();
    let uuids = uuids?;
    let is_uuid = |uuid: &&str| {
        let rest = uuid.strip_prefix("GPU-");
        rest.is_some_and(|rest| {
            rest.bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        })
    };
    uuids.iter().all(is_uuid).then(|| uuids.join(","))
}
