//! The forms of a plan, one file each. A form that cannot express a plan says why.

mod env;
mod numactl;
mod python;
mod sh;
mod table;
mod words;

use crate::document::{Document, PlanDocument};
use crate::plan::NoPlan;
use crate::print::{Terminal, json};

/// The forms of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PlanFormat {
    /// A table.
    Table,
    /// A JSON document, for --expect.
    Json,
    /// Variables of each rank, for a shell or a service file.
    Env,
    /// A wrapper script: torchrun --no-python ./bind.sh python train.py
    Sh,
    /// A script that starts each rank with numactl.
    Numactl,
    /// torchrun's own option, if one gives this plan.
    Torchrun,
    /// srun's options.
    Slurm,
    /// Open MPI's rank file, and --map-by if that gives this plan.
    Openmpi,
    /// DeepSpeed's options, if they can give this plan.
    Deepspeed,
    /// accelerate's option, if it gives this plan.
    Accelerate,
    /// vLLM's options.
    Vllm,
    /// SGLang's options.
    Sglang,
    /// The kubelet's policies.
    Kubernetes,
    /// A dozen lines of Python, for the script and its loaders.
    Python,
}

/// The plan as text. `map` is what it was made from.
///
/// # Errors
/// Where the form cannot express it.
pub(crate) fn text(
    plan: &PlanDocument,
    map: &Document,
    format: PlanFormat,
    terminal: &Terminal,
) -> Result<String, NoPlan> {
    let _ = map;
    Ok(match format {
        PlanFormat::Table => table::table(plan, terminal),
        PlanFormat::Json => json::text(plan),
        PlanFormat::Env => env::env(plan),
        PlanFormat::Sh => sh::wrapper(plan),
        PlanFormat::Numactl => numactl::launcher(plan),
        PlanFormat::Python => python::functions(plan),
        _ => return Err(NoPlan::Impossible(vec!["not written yet".to_owned()])),
    })
}
