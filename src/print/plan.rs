//! The forms of a plan, one file each. A form that cannot express a plan says why.

mod accelerate;
mod deepspeed;
mod env;
mod kubernetes;
mod machine;
mod numactl;
mod openmpi;
mod python;
mod sglang;
mod sh;
mod slurm;
mod table;
mod torchrun;
mod vllm;
mod words;

use crate::document::{Document, PlanDocument};
use crate::print::{Terminal, json};

pub(crate) use env::files as env_files;

/// The forms of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PlanFormat {
    /// A table.
    Table,
    /// A JSON document, for --expect.
    Json,
    /// Variables of each rank, for a shell or a service file; --dir writes a file for each.
    Env,
    /// A wrapper script: torchrun --no-python ./bind.sh python train.py
    Sh,
    /// A script that starts each rank with numactl.
    Numactl,
    /// torchrun's own option, if one gives this plan.
    Torchrun,
    /// srun's options, and the lines of gres.conf.
    Slurm,
    /// Open MPI's rank file, and --map-by if that gives this plan.
    Openmpi,
    /// DeepSpeed's options, if they can give this plan. Not tried.
    Deepspeed,
    /// accelerate's option, if it gives this plan.
    Accelerate,
    /// vLLM's options. Not tried.
    Vllm,
    /// SGLang's options. Not tried.
    Sglang,
    /// The kubelet's policies, and what pods ask for. Not tried.
    Kubernetes,
    /// Python functions that bind the script and its loaders.
    Python,
}

/// Why a form cannot express a plan: one sentence.
#[derive(Debug)]
pub(crate) struct Inexpressible(pub(crate) String);

/// The plan as text. `map` is what it was made from.
///
/// # Errors
/// Where the form cannot express it.
pub(crate) fn text(
    plan: &PlanDocument,
    map: &Document,
    format: PlanFormat,
    terminal: &Terminal,
) -> Result<String, Inexpressible> {
    Ok(match format {
        PlanFormat::Table => table::table(plan, terminal),
        PlanFormat::Json => json::text(plan),
        PlanFormat::Env => env::env(plan, map),
        PlanFormat::Sh => sh::wrapper(plan, map),
        PlanFormat::Numactl => numactl::launcher(plan, map),
        PlanFormat::Torchrun => torchrun::command(plan, map)?,
        PlanFormat::Slurm => slurm::command(plan, map),
        PlanFormat::Openmpi => openmpi::rank_file(plan, map)?,
        PlanFormat::Deepspeed => deepspeed::command(plan, map)?,
        PlanFormat::Accelerate => accelerate::command(plan, map)?,
        PlanFormat::Vllm => vllm::command(plan, map)?,
        PlanFormat::Sglang => sglang::command(plan, map)?,
        PlanFormat::Kubernetes => kubernetes::configuration(plan, map)?,
        PlanFormat::Python => python::functions(plan),
    })
}
