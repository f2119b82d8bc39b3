//! What the forms share: comments, and the option words of a rank.

use std::fmt::Write;

use crate::document::{Document, PlanDocument, PlannedRank};
use crate::print::harmless;
use crate::print::plan::machine::gpu_of;
use crate::units::{node_list, ranges};

/// The variables that have a rank's number on its machine, by launcher: torchrun, srun, Open MPI, MVAPICH2, Intel MPI and MPICH,
/// PALS, Flux.
pub(super) const LOCAL_RANK: [&str; 7] = [
    "LOCAL_RANK",
    "SLURM_LOCALID",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "PALS_LOCAL_RANKID",
    "FLUX_TASK_LOCAL_ID",
];

/// `Made by numa-audit plan for HOST: 8 ranks on GPUs 0-7`, then the notes, each as a comment.
pub(super) fn comments(plan: &PlanDocument) -> String {
    let host = plan.hostname.as_deref().filter(|host| is_host_name(host));
    let host = host.map_or(String::new(), |host| format!(" for {host}"));
    let s = if plan.ranks.len() == 1 { "" } else { "s" };
    let (count, gpus) = (plan.ranks.len(), gpus(plan));
    let mut out = format!("# Made by numa-audit plan{host}: {count} rank{s} on GPU{s} {gpus}.\n");
    for note in &plan.notes {
        let _ = writeln!(out, "# Note: {}.", harmless(note));
    }
    out
}

/// Whether it has only the letters of host names. Others mean something to what reads the plan, also in a comment: Python takes
/// `coding: utf-7` as the encoding of the file, and an editor `vim: ...` as a command.
fn is_host_name(host: &str) -> bool {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(is_usual)
}

/// The GPUs in the order of the ranks: `0-3,6,5`.
pub(super) fn gpus(plan: &PlanDocument) -> String {
    ranges(plan.ranks.iter().map(|rank| rank.gpu))
}

/// `--physcpubind=0-11,48-59 --membind=0`
pub(super) fn numactl_options(rank: &PlannedRank) -> String {
    format!(
        "--physcpubind={} --membind={}",
        rank.cpus,
        node_list(&rank.memory_nodes)
    )
}

/// The value of CUDA_VISIBLE_DEVICES that gives rank N the Nth device. `None` where a GPU has no UUID of NVIDIA's, and where one
/// has MIG devices: its UUID would stand for the first of them.
pub(super) fn visible_devices(plan: &PlanDocument, map: &Document) -> Option<String> {
    let uuid = |rank: &PlannedRank| {
        let has_mig = gpu_of(rank, map).is_none_or(|gpu| !gpu.mig_devices.is_empty());
        let uuid = rank.uuid.clone().filter(|uuid| is_nvidias(uuid));
        uuid.filter(|_| !has_mig)
    };
    let uuids: Option<Vec<String>> = plan.ranks.iter().map(uuid).collect();
    uuids.map(|uuids| uuids.join(","))
}

/// Whether it is `GPU-` and a UUID of 8, 4, 4, 4 and 12 digits. Those of AMD have 16 digits, and no variable of CUDA takes them.
fn is_nvidias(uuid: &str) -> bool {
    let parts = uuid.split('-');
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths = parts.clone().skip(1).map(str::len);
    uuid.starts_with("GPU-") && lengths.eq([8, 4, 4, 4, 12]) && parts.skip(1).all(digits)
}

/// The comment where no variable can say which GPU a rank uses.
pub(super) const NO_DEVICES: &str =
    "# Rank N must use the GPU of its line: no variable that selects it is known here.\n";

/// `CUDA_VISIBLE_DEVICES=... ` before a command; empty where the ranks use the GPUs of the machine in their order anyway, and
/// where no variable is known.
pub(super) fn devices_before(plan: &PlanDocument, map: &Document) -> String {
    match is_in_order(plan) {
        true => String::new(),
        false => visible_devices(plan, map).map_or(String::new(), |devices| {
            format!("CUDA_VISIBLE_DEVICES={devices} ")
        }),
    }
}

/// Whether rank N has GPU N.
pub(super) fn is_in_order(plan: &PlanDocument) -> bool {
    plan.ranks.iter().all(|rank| rank.gpu == rank.rank)
}

/// What to say where something else than the command must select the GPUs.
pub(super) fn devices_note(plan: &PlanDocument, map: &Document) -> &'static str {
    match !is_in_order(plan) && visible_devices(plan, map).is_none() {
        true => NO_DEVICES,
        false => "",
    }
}

/// What to say where the loaders should have other CPUs than their rank.
pub(super) fn loaders_note(plan: &PlanDocument) -> &'static str {
    let differs = |rank: &PlannedRank| rank.cpus != rank.worker_cpus;
    match plan.workers > 0 && plan.ranks.iter().any(differs) {
        true => {
            "# Loaders have the CPUs of their rank; --format python gives them those of the plan.\n"
        }
        false => "",
    }
}

/// What binds CPUs only.
pub(super) const FIRST_TOUCH: &str =
    "# It binds CPUs only: memory is on the node of the CPU that touches it first.\n";
