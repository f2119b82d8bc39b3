//! What was observed of one machine, before anything is judged.
//!
//! Nothing here opens a file, knows the time or prints. A fact that could not be learnt is `None`
//! and has a [`Gap`] that says why.

pub mod binding_request;
pub mod environment;
pub mod evidence;
pub mod gap;
pub mod gpu;
pub mod kernel_settings;
pub mod memory;
pub mod nvml_answer;
pub mod pci;
pub mod process;
pub mod topology;
pub mod window;

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::gap::Gap;
use crate::machine::gpu::Gpu;
use crate::machine::pci::PciDevice;
use crate::machine::process::Process;
use crate::machine::topology::Topology;
use crate::units::Pid;

/// One machine at one moment: all that the audit may know.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// The machine's name, kernel and the time of the observation.
    pub host: Host,
    /// NUMA nodes with their CPUs, memory and distances.
    pub topology: Topology,
    /// GPUs by index, as NVML numbers them; by PCI address where no driver answered.
    pub gpus: Vec<Gpu>,
    /// Network and storage controllers, displays and accelerators that are no GPU, by PCI address.
    pub devices: Vec<PciDevice>,
    /// The processes that matter, by PID: those that hold a GPU context or were named on the
    /// command line, with their descendants, launchers and helpers.
    pub processes: Vec<Process>,
    /// The PIDs that were named on the command line: these are judged, though no GPU be involved, and
    /// no others.
    pub named: Vec<Pid>,
    /// Those of them that look like somebody's workers and hang on an init: whose they are has to be found out.
    pub orphans: BTreeSet<Pid>,
    /// The kernel's settings that have to do with it.
    pub kernel: kernel_settings::Settings,
    /// What was seen over a while before; `None` where nobody looked for longer than a moment.
    pub window: Option<window::Window>,
    /// Names of users by number, as far as they are known.
    pub users: BTreeMap<u32, String>,
    /// All that could not be learnt.
    pub gaps: Vec<Gap>,
}

/// The machine's name and the circumstances of the observation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// `None` where neither the system nor the recording tells.
    pub hostname: Option<String>,
    /// The kernel's release, from `/proc/sys/kernel/osrelease` or `/proc/version`.
    pub kernel: Option<String>,
    /// RFC 3339, UTC: when the machine was looked at. `None` in a recording that does not tell.
    pub recorded_at: Option<String>,
    /// When it was started, in seconds since 1970 (`btime` of `/proc/stat`). `None` where that could not be read.
    pub started: Option<u64>,
    /// Whether this is the machine that the program runs on.
    pub origin: Origin,
    /// The NVIDIA driver's version; `None` where NVML did not answer.
    pub driver_version: Option<String>,
}

/// Where an observation comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Origin {
    /// The running system.
    #[default]
    Live,
    /// A recorded tree.
    Snapshot,
}
