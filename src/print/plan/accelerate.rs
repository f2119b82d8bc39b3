//! accelerate's --enable_cpu_affinity. What it does is in override_numa_affinity of src/accelerate/utils/environment.py of
//! github.com/huggingface/accelerate: the process with local number N may run on the CPUs that NVML reports for GPU N.

use std::fmt::Write;

use super::machine::gpu_of;
use super::words::{FIRST_TOUCH, comments, is_in_order, loaders_note};
use crate::document::{Document, PlanDocument, PlannedRank};
use crate::plan::cpus_of;
use crate::print::plan::Inexpressible;
use crate::words::HomeSource;

/// The command.
///
/// # Errors
/// Where its option gives other CPUs, or what it gives is unknown.
pub(super) fn command(plan: &PlanDocument, map: &Document) -> Result<String, Inexpressible> {
    obstacle(plan, map).map_or(Ok(()), |why| {
        Err(Inexpressible(format!(
            "{why}; with the wrapper of --format sh: torchrun --no-python ./bind.sh python train.py"
        )))
    })?;
    let mut out = comments(plan);
    out += "# nvidia-ml-py must be installed.\n";
    out += FIRST_TOUCH;
    out += loaders_note(plan);
    let count = plan.ranks.len();
    let _ = writeln!(
        out,
        "accelerate launch --enable_cpu_affinity --num_processes {count} train.py"
    );
    Ok(out)
}

fn obstacle(plan: &PlanDocument, map: &Document) -> Option<String> {
    if !is_in_order(plan) {
        return Some("it binds rank N for NVML's GPU N, and the plan has another order".to_owned());
    }
    plan.ranks.iter().find_map(|rank| other_cpus(rank, map))
}

fn other_cpus(rank: &PlannedRank, map: &Document) -> Option<String> {
    let gpu = gpu_of(rank, map)?;
    let answer = gpu.home_answers.get(&HomeSource::NvmlCpuAffinity.into());
    let Some(nodes) = answer else {
        let why = "it binds to the CPUs that NVML reports, which are unknown here for GPU";
        return Some(format!("{why} {}", gpu.index));
    };
    let cpus = cpus_of(nodes, map);
    (cpus != rank.cpus).then(|| {
        format!(
            "it would bind rank {} to CPUs {cpus} instead of {}",
            rank.rank, rank.cpus
        )
    })
}
