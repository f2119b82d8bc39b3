//! Options that say how to judge.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};

use crate::audit::Limits;

/// How to judge.
#[derive(Debug, Args)]
#[command(next_help_heading = "Judgement")]
pub(crate) struct JudgementArgs {
    /// Only the processes of these GPUs. Several are separated by commas.
    ///
    /// The start of a UUID is enough.
    #[arg(long, value_name = "INDEX|UUID|PCI", value_delimiter = ',',
          value_parser = NonEmptyStringValueParser::new())]
    pub(crate) gpu: Vec<String>,
    /// Only the processes of this user, by name or number.
    #[arg(long, value_name = "USER", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) user: Option<String>,
    /// Only the processes of this job of Slurm, PBS, LSF, Flux or Ray.
    ///
    /// ID is what the report shows, such as 4711; `self` is the job that numa-audit itself runs in. A process is in the job that
    /// its control group or its environment names. If no process of the job uses a GPU here, there is nothing to judge: a message
    /// says so, and the exit code is that of a machine without processes (0, or 3 if not all could be seen).
    #[arg(long, value_name = "ID|self", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) job: Option<String>,
    /// Tolerate this share of a process's memory off its GPU's nodes.
    ///
    /// It is a share of the working memory, without page cache and mapped files. Memory off the nodes is a mismatch if it is
    /// more than this and more than --remote-mib. Pinned memory has the same two limits, of the pinned memory alone.
    #[arg(long, value_name = "PERCENT", default_value_t = Limits::default().remote_percent,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) remote_percent: u8,
    /// Tolerate this much of a process's memory off its GPU's nodes.
    ///
    /// Memory off the nodes is a mismatch if it is more than this and more than --remote-percent. Pinned memory has the same
    /// two limits, of the pinned memory alone.
    #[arg(long, value_name = "MIB", default_value_t = remote_mib())]
    pub(crate) remote_mib: u32,
    /// Judge another node of the GPU's socket like another socket.
    #[arg(long)]
    pub(crate) strict_node: bool,
    /// Do not apply these rules. Several are separated by commas.
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
}

fn remote_mib() -> u32 {
    let mib = Limits::default().remote_bytes.0 >> 20;
    u32::try_from(mib).unwrap_or(u32::MAX)
}

/// Which exit code an audit has.
#[derive(Debug, Args)]
pub(crate) struct ExitArgs {
    /// Exit with 1 from this verdict on.
    #[arg(long, value_name = "VERDICT", default_value = "mismatch")]
    pub(crate) fail_on: FailOn,
}

/// From which verdict on the exit code is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// A mismatch, or another error.
    Mismatch,
    /// A mismatch, another error, or a warning about a process.
    AtRisk,
    /// Never exit with 1.
    Never,
}
