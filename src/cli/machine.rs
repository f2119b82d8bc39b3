//! Options that say which machine, which of its processes, and what is known about its GPUs.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::duration::{DAY, within};
use crate::observe::MemoryReading;
use crate::units::{NodeSet, Pid, parse_node_list};

/// Which machine.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct MachineArgs {
    /// Read a recorded machine: a folder or a .tar.gz (see `record`).
    #[arg(long, value_name = "PATH", conflicts_with = "nvml_lib")]
    pub(crate) snapshot: Option<PathBuf>,
    /// Stop reading after this long [default: 30s]
    ///
    /// What was not read by then is reported as missing. The time of --for does not count.
    #[arg(long, value_name = "DURATION", value_parser = deadline)]
    pub(crate) deadline: Option<Duration>,
    #[command(flatten)]
    pub(crate) nvml: NvmlArgs,
}

/// Where the driver's library is.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct NvmlArgs {
    /// Load NVML from this file [default: the system's libnvidia-ml.so.1]
    #[arg(long, value_name = "PATH")]
    pub(crate) nvml_lib: Option<PathBuf>,
}

/// Which processes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct PidArgs {
    /// Only these processes and their descendants, with or without a GPU.
    ///
    /// Several PIDs are separated by blanks or commas. Arguments that are not options stand before --pid.
    #[arg(long, value_name = "PID", num_args = 1.., value_delimiter = ',', value_parser = pid)]
    pub(crate) pid: Vec<Pid>,
}

/// How memory is read.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// How to read memory.
    ///
    /// This is about running processes. A recording has every page.
    #[arg(long, value_name = "HOW", default_value = "sample")]
    memory: MemoryHow,
}

impl MemoryArgs {
    pub(crate) fn reading(&self) -> MemoryReading {
        match self.memory {
            MemoryHow::Sample => MemoryReading::Sample,
            MemoryHow::Exact => MemoryReading::Exact,
            MemoryHow::None => MemoryReading::None,
        }
    }
}

/// What is known about the GPUs' home nodes, besides what the machine reports.
#[derive(Debug, Args)]
#[command(next_help_heading = "Machine")]
pub(crate) struct HomeNodeArgs {
    /// Set the NUMA nodes that a GPU is attached to (0=1, 0000:10:1c.0=0-1).
    ///
    /// The GPU is given by index, UUID or PCI address. Of these sources the first that names a node counts: --gpu-node,
    /// --topology, sysfs (numa_node of the PCI device), its PCI bridges, NVML's memory affinity, NVML's CPU affinity, the only
    /// node with CPUs. A numa_node of -1 names none.
    #[arg(long, value_name = "GPU=NODES", value_parser = gpu_node)]
    pub(crate) gpu_node: Vec<GpuNode>,
    /// Take the GPUs' NUMA nodes from a topology file of NCCL or hwloc.
    ///
    /// NCCL's XML (NCCL_TOPO_FILE, NCCL_TOPO_DUMP_FILE) or hwloc's (lstopo topology.xml).
    #[arg(long, value_name = "FILE")]
    pub(crate) topology: Option<PathBuf>,
}

/// The ways to read memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum MemoryHow {
    /// Count every page of small processes. Of large ones look at a few hundred pages, and at up to some thousand if these are
    /// near a limit or on several nodes: about a millisecond for each process.
    #[default]
    Sample,
    /// Count every page: about 14 ms for each GiB in 4 KiB pages, during which the process may have to wait.
    Exact,
    /// Do not read memory and judge only CPUs. No process is `ok` then, but that alone does not make the exit code 3.
    None,
}

/// One GPU with its nodes, as typed.
#[derive(Debug, Clone)]
pub(crate) struct GpuNode {
    /// Index, UUID or PCI address.
    pub(crate) gpu: String,
    /// At least one.
    pub(crate) nodes: NodeSet,
}

fn gpu_node(text: &str) -> Result<GpuNode, String> {
    let (gpu, nodes) = text.split_once('=').ok_or("not of the form GPU=NODES")?;
    let nodes = parse_node_list(nodes.as_bytes()).map_err(|error| error.to_string())?;
    if gpu.is_empty() || nodes.is_empty() {
        return Err("not of the form GPU=NODES".to_owned());
    }
    let gpu = gpu.to_owned();
    Ok(GpuNode { gpu, nodes })
}

/// --pid takes every word up to the next option, so a word that is not a PID is often an argument in the wrong place.
fn pid(text: &str) -> Result<Pid, String> {
    match text.parse() {
        Ok(0) => Err("PIDs start at 1".to_owned()),
        Ok(pid) => Ok(Pid(pid)),
        Err(_) if text.bytes().all(|byte| byte.is_ascii_digit()) => Err("not a PID".to_owned()),
        Err(_) => Err("not a PID; arguments that are not options stand before --pid".to_owned()),
    }
}

/// A shorter window shows nothing; a longer one is a typing mistake.
const WINDOWS: RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;

pub(super) fn window(text: &str) -> Result<Duration, String> {
    within(text, &WINDOWS, "from 100ms to 24h")
}

pub(super) fn deadline(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than 0".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
