//! Options of `plan`.

use std::path::PathBuf;

use clap::Args;

use super::{ColorArgs, HomeNodeArgs, MachineArgs};
use crate::plan::GpuOrder;
use crate::print::plan::PlanFormat;
use crate::units::CpuSet;

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  the plan was printed; its notes say what does not fit
  1  there is no such plan here: no CPU or memory that may be used is local to a GPU, there are
     fewer cores than ranks (--exclusive), or the format cannot express it
  2  numa-audit could not run: a wrong argument, an unreadable file
  3  there is no plan, because something has to be known first: a GPU's home node, a core";

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) home_nodes: HomeNodeArgs,
    /// Only these GPUs, whose ranks --order sorts: indexes, PCI addresses or UUIDs [default: all]
    #[arg(long, value_name = "GPU", value_delimiter = ',', help_heading = "Job")]
    pub(crate) gpus: Vec<String>,
    /// The number of ranks: the first N GPUs get one each [default: one rank for each GPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Job")]
    pub(crate) ranks: Option<u32>,
    /// Which GPU has rank 0, 1, ...: nvml, pci, or cuda-visible-devices[=LIST].
    ///
    /// `nvml` is the order of the indexes that nvidia-smi prints. `cuda-visible-devices=2,0` is the order of this list, which
    /// also says which GPUs there are; without a list it is the value of the variable here.
    #[arg(
        long,
        value_name = "ORDER",
        default_value = "nvml",
        help_heading = "Job"
    )]
    pub(crate) order: GpuOrder,
    /// The loader processes (num_workers) of each rank.
    #[arg(long, value_name = "W", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=65_536), help_heading = "Job")]
    pub(crate) workers: u32,
    /// Give each rank whole cores of its own, instead of all CPUs of its node.
    #[arg(long, help_heading = "Job")]
    pub(crate) exclusive: bool,
    /// Leave these CPUs alone (0-1,48-49).
    #[arg(
        long,
        value_name = "CPUS",
        default_value = "",
        hide_default_value = true,
        help_heading = "Job"
    )]
    pub(crate) reserve: CpuSet,
    /// How to print the plan.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "table",
        help_heading = "Output"
    )]
    pub(crate) format: PlanFormat,
    /// With --format env: write a file for each rank, rank0.env and so on, to this folder, which is made if it does not exist.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) color: ColorArgs,
}
