//! What was observed of one machine, before it is judged.
//!
//! Nothing here opens a file, reads the clock or prints. A missing fact is `None`, and a [`Gap`] has the reason.

pub(crate) mod binding_request;
pub(crate) mod cpu_facts;
pub(crate) mod environment;
pub(crate) mod gap;
pub(crate) mod gpu;
pub(crate) mod kernel_settings;
pub(crate) mod memory;
pub(crate) mod nvml_answer;
pub(crate) mod pci;
pub(crate) mod process;
pub(crate) mod sampling_error;
pub(crate) mod topology;
pub(crate) mod window;

pub(crate) use binding_request::{BindTo, BindingRequest};
pub(crate) use cpu_facts::{Core, CpuFacts, in_order};
pub(crate) use environment::{Environment, Rank, RankOfJob, Ranks, SchedulerJob};
pub(crate) use gap::{Fact, Gap, Gaps, Reason};
pub(crate) use gpu::{Context, DrmGpu, Gpu, Instance, Partition};
pub(crate) use kernel_settings::KernelSettings;
pub(crate) use memory::{Backing, Exactness, Memory, Mode, Policy, Sample, Stratum};
pub(crate) use nvml_answer::{
    DriverAnswer, DriverGpu, DriverProcess, ListKind, MOST_GPUS, MigDevice,
};
pub(crate) use pci::{DeviceUser, PciDevice};
pub(crate) use process::{ControlGroup, CpuQuota, Cpuset, Process, Thread};
pub(crate) use sampling_error::{error_by_backing, error_of};
pub(crate) use topology::{HugePool, Node, PciNodes, PciPlace, Topology};
pub(crate) use window::{Counters, CpuTime, ProcessActivity, ThreadActivity, Window};

use crate::words::Origin;
use std::collections::{BTreeMap, BTreeSet};

use crate::units::{CpuSet, NodeSet, Pid};

/// One machine at one moment: everything that the audit uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    /// The machine's name and kernel, and the time of the observation.
    pub(crate) host: Host,
    /// NUMA nodes with their CPUs, memory and distances.
    pub(crate) topology: Topology,
    /// GPUs by index as in NVML; by PCI address where no driver answered.
    pub(crate) gpus: Vec<Gpu>,
    /// Network and storage controllers, displays, and accelerators that are not GPUs, by PCI address.
    pub(crate) devices: Vec<PciDevice>,
    /// The processes that have a file of an accelerator open that is no GPU, or of a device that was given away. Searched only
    /// where there is such a device, and then as far as files may be read.
    pub(crate) device_users: Vec<DeviceUser>,
    /// The relevant processes, by PID: those that hold a GPU context or were named on the command line, with their descendants,
    /// launchers and helpers.
    pub(crate) processes: Vec<Process>,
    /// The PIDs that were named on the command line. If there are any, these and no others are judged, with or without a GPU.
    pub(crate) named: Vec<Pid>,
    /// Processes that look like workers and whose parent is an init process: their trainer has to be found by other means.
    pub(crate) orphans: BTreeSet<Pid>,
    /// Facts about CPUs.
    pub(crate) cpus: CpuFacts,
    /// Kernel settings that affect placement.
    pub(crate) kernel: kernel_settings::KernelSettings,
    /// The time window before; `None` without `--for`.
    pub(crate) window: Option<window::Window>,
    /// User names by number, as far as they are known.
    pub(crate) users: BTreeMap<u32, String>,
    /// Names of Kubernetes pods by UID, as `NAMESPACE/NAME`, as far as they are known.
    pub(crate) pods: BTreeMap<String, String>,
    /// All missing facts.
    pub(crate) gaps: Vec<Gap>,
}

/// The machine's name, and the origin of the observation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// `None` where it is unknown.
    pub(crate) hostname: Option<String>,
    /// The kernel's release, from `/proc/sys/kernel/osrelease` or `/proc/version`.
    pub(crate) kernel: Option<String>,
    /// The time of the observation, RFC 3339 in UTC. `None` where a recording does not have it.
    pub(crate) recorded_at: Option<String>,
    /// The boot time, in seconds since 1970 (`btime` of `/proc/stat`). `None` where it could not be read.
    pub(crate) started: Option<u64>,
    /// Whether this machine is the one on which the program runs.
    pub(crate) origin: Origin,
    /// The NVIDIA driver's version; `None` where NVML did not answer.
    pub(crate) driver_version: Option<String>,
    /// The name that a scheduler has for this machine, and the variable that has it. `None` where the program was not started
    /// by one, and for a recording.
    pub(crate) scheduler_node: Option<(String, &'static str)>,
    /// The jobs of schedulers that the program itself runs in. Empty for a recording.
    pub(crate) observer_jobs: Vec<SchedulerJob>,
    /// Where the program itself may run. `None` for a recording, and where it could not be read.
    pub(crate) observer_place: Option<ObserverPlace>,
}

/// Where the program itself may run, and what it would start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ObserverPlace {
    /// Its CPU affinity.
    pub(crate) cpus: CpuSet,
    /// The nodes that its cpuset allows. `None` for a kernel without cpusets.
    pub(crate) memory_nodes: Option<NodeSet>,
}
