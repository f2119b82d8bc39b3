//! Missing facts and their reasons. A missing fact is never a zero.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::units::{Bytes, Malformed, NodeId, PciAddress, Pid, seconds};
use crate::words::GapKind;

/// One fact that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The process; `None` for the machine and its devices.
    pub(crate) pid: Option<Pid>,
    /// What is missing.
    pub(crate) fact: Fact,
    /// Why it is missing.
    pub(crate) reason: Reason,
}

/// Collects missing facts in the order in which they are noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Gaps(Vec<Gap>);

impl Gaps {
    /// Adds one missing fact: of a process, or of the machine (`None`).
    pub(crate) fn note(
        &mut self,
        pid: impl Into<Option<Pid>>,
        fact: Fact,
        reason: impl Into<Reason>,
    ) {
        self.0.push(Gap {
            pid: pid.into(),
            fact,
            reason: reason.into(),
        });
    }

    /// The value of a result; of an error the reason is noted.
    pub(crate) fn value_or_note<T>(
        &mut self,
        pid: impl Into<Option<Pid>>,
        fact: Fact,
        found: Result<T, impl Into<Reason>>,
    ) -> Option<T> {
        match found {
            Ok(value) => Some(value),
            Err(reason) => {
                self.note(pid, fact, reason);
                None
            }
        }
    }

    pub(crate) fn into_vec(self) -> Vec<Gap> {
        self.0
    }
}

impl Deref for Gaps {
    type Target = Vec<Gap>;

    fn deref(&self) -> &Vec<Gap> {
        &self.0
    }
}

impl DerefMut for Gaps {
    fn deref_mut(&mut self) -> &mut Vec<Gap> {
        &mut self.0
    }
}

/// What can be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// NVML's whole answer: the GPUs and the processes that use them.
    Driver,
    /// The processes of one GPU, by its index.
    GpuProcesses(u32),
    /// One answer about a GPU, by its index, such as its UUID.
    GpuDetail(u32, &'static str),
    /// A GPU that a process has open, and that no source lists.
    UnlistedGpu,
    /// A GPU by the name that was typed: it is unknown whether it exists.
    TypedGpu(String),
    /// The processes of devices that may compute and are no GPU that this program knows. The text names them.
    DeviceProcesses(String),
    /// The node that one GPU, by its index, is attached to.
    GpuHomeNode(u32),
    /// The place of one GPU, by its index, in the topology file. Another source has its node.
    GpuFilePlace(u32),
    /// Whether the memory of one GPU, by its index, is a NUMA node.
    GpuMemoryNode(u32),
    /// The whole of `/sys/devices/system/node`.
    Nodes,
    /// A node's CPUs.
    NodeCpus(NodeId),
    /// A node's memory sizes.
    NodeMemory(NodeId),
    /// A node's distances.
    NodeDistances(NodeId),
    /// A kernel setting, by its sysctl name.
    Setting(&'static str),
    /// The CPUs that the scheduler leaves alone.
    IsolatedCpus,
    /// The list of PCI devices.
    PciDevices,
    /// The node of one PCI device.
    PciNode(PciAddress),
    /// The list of processes.
    Processes,
    /// This number of processes: they exist and may not be read.
    HiddenProcesses(usize),
    /// Everything about one process.
    Process,
    /// A process's argv.
    Command,
    /// A process's environment.
    Environ,
    /// A process's control groups.
    Cgroup,
    /// The CPUs and nodes that a process's control group allows (`cpuset.cpus.effective`, `cpuset.mems.effective`).
    Cpuset,
    /// The CPU time that a process's control groups may use (`cpu.max`).
    CpuQuota,
    /// The part of a process's memory that is in swap (`VmSwap`).
    Swap,
    /// The files that a process has open (`fd`).
    OpenFiles,
    /// The trainer for which a process works.
    Trainer,
    /// The GPU of a rank that has no GPU context yet.
    GpuOfRank,
    /// A process's owner, affinity and mems allowed (`status`).
    Status,
    /// The list of a process's threads.
    Threads,
    /// The last CPU or the affinity of one thread, by its TID.
    Thread(u32),
    /// A process's memory policy and pages.
    Memory,
    /// The nodes of a process's memory policy: the kernel cut the text.
    PolicyNodes,
    /// The CPU time of some threads over a window.
    CpuTime,
    /// Whether a process's memory is beyond a limit: it was estimated, and the limit is within the error.
    MemoryLimit,
}

impl Fact {
    /// Whether this gap can hide a mismatch: processes may be missing, or could not be judged.
    pub(crate) fn leaves_open(&self) -> bool {
        matches!(
            self,
            Self::Driver
                | Self::GpuProcesses(_)
                | Self::UnlistedGpu
                | Self::TypedGpu(_)
                | Self::GpuHomeNode(_)
                | Self::DeviceProcesses(_)
                | Self::Processes
                | Self::HiddenProcesses(_)
                | Self::Process
                | Self::GpuOfRank
        )
    }

    /// What kind of fact it is: one of a few.
    pub(crate) fn kind(&self) -> GapKind {
        match self {
            Self::Driver => GapKind::Driver,
            Self::GpuDetail(..) | Self::UnlistedGpu | Self::TypedGpu(_) => GapKind::Gpu,
            Self::GpuProcesses(_) | Self::DeviceProcesses(_) | Self::GpuOfRank => {
                GapKind::GpuProcesses
            }
            Self::GpuHomeNode(_)
            | Self::GpuFilePlace(_)
            | Self::GpuMemoryNode(_)
            | Self::PciDevices
            | Self::PciNode(_) => GapKind::HomeNode,
            Self::Nodes
            | Self::NodeCpus(_)
            | Self::NodeMemory(_)
            | Self::NodeDistances(_)
            | Self::Setting(_)
            | Self::IsolatedCpus => GapKind::Machine,
            Self::Processes | Self::HiddenProcesses(_) | Self::Process => GapKind::Process,
            Self::Command | Self::Environ | Self::OpenFiles | Self::Trainer => GapKind::Membership,
            Self::Status | Self::Threads | Self::Thread(_) | Self::CpuTime => GapKind::Cpu,
            Self::Memory | Self::PolicyNodes | Self::MemoryLimit | Self::Swap => GapKind::Memory,
            Self::Cgroup | Self::Cpuset | Self::CpuQuota => GapKind::Cgroup,
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver => f.write_str("NVIDIA driver"),
            Self::GpuProcesses(index) => write!(f, "processes of GPU {index}"),
            Self::GpuDetail(index, detail) => write!(f, "{detail} of GPU {index}"),
            Self::UnlistedGpu => f.write_str("GPU"),
            Self::TypedGpu(name) => write!(f, "GPU {name:?}"),
            Self::DeviceProcesses(devices) => write!(f, "processes of {devices}"),
            Self::GpuHomeNode(index) => write!(f, "home node of GPU {index}"),
            Self::GpuFilePlace(index) => write!(f, "place in the topology file of GPU {index}"),
            Self::GpuMemoryNode(index) => write!(f, "memory node of GPU {index}"),
            Self::Nodes => f.write_str("NUMA nodes"),
            Self::NodeCpus(node) => write!(f, "CPUs of node {node}"),
            Self::NodeMemory(node) => write!(f, "memory of node {node}"),
            Self::NodeDistances(node) => write!(f, "distances of node {node}"),
            Self::Setting(name) => f.write_str(name),
            Self::IsolatedCpus => f.write_str("isolated CPUs"),
            Self::PciDevices => f.write_str("PCI devices"),
            Self::PciNode(address) => write!(f, "node of PCI device {address}"),
            Self::Processes => f.write_str("processes"),
            Self::HiddenProcesses(count) => write!(f, "{count} processes"),
            Self::Process => f.write_str("process"),
            Self::Command => f.write_str("command"),
            Self::Environ => f.write_str("environ"),
            Self::Cgroup => f.write_str("cgroup"),
            Self::Cpuset => f.write_str("cpuset"),
            Self::CpuQuota => f.write_str("CPU quota"),
            Self::Swap => f.write_str("memory in swap"),
            Self::OpenFiles => f.write_str("open files"),
            Self::Trainer => f.write_str("trainer"),
            Self::GpuOfRank => f.write_str("GPU"),
            Self::Status => f.write_str("status"),
            Self::Threads => f.write_str("threads"),
            Self::Thread(tid) => write!(f, "thread {tid}"),
            Self::Memory => f.write_str("memory"),
            Self::PolicyNodes => f.write_str("nodes of the memory policy"),
            Self::CpuTime => f.write_str("CPU time of some threads"),
            Self::MemoryLimit => f.write_str("side of the memory limit"),
        }
    }
}

/// Why a fact is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// This user may not read it (EACCES, EPERM).
    Denied,
    /// The options say not to read it.
    NotAsked,
    /// The process or thread has ended.
    Gone,
    /// The process has ended, and its parent has not waited for it. What it held of a driver may still be in use.
    Zombie,
    /// The process is ending.
    Ending,
    /// The file or the value does not exist.
    Absent,
    /// The read did not return within this time: the process, or its memory map, is blocked in the kernel.
    TimedOut(Duration),
    /// The deadline of the whole observation, which is this, came first.
    Late(Duration),
    /// It was read and is not valid; the text says why.
    Malformed(String),
    /// This much of a GPU's memory is in use, and no process that uses it is visible.
    InUseByHidden(Bytes),
    /// Another error; the text describes it.
    Failed(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("permission denied"),
            Self::NotAsked => f.write_str("not asked for"),
            Self::Gone => f.write_str("gone"),
            Self::Zombie => {
                f.write_str("a zombie: it has ended, and its parent has not waited for it")
            }
            Self::Ending => f.write_str("it is ending"),
            Self::Absent => f.write_str("absent"),
            Self::TimedOut(wait) => write!(f, "did not answer within {}", seconds(*wait)),
            Self::Late(whole) => write!(f, "not reached within {}", seconds(*whole)),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::InUseByHidden(used) => write!(
                f,
                "{used} in use by processes that are not visible here: another PID namespace; run on the host or with \
                 the host's PID namespace"
            ),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

impl From<&std::io::Error> for Reason {
    /// Maps the errors of open and read on procfs and sysfs.
    fn from(error: &std::io::Error) -> Self {
        /// The error of reading an open file of a process that has ended; std has no name for it.
        const ESRCH: i32 = 3;
        use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        match error.kind() {
            PermissionDenied => Self::Denied,
            NotFound | NotADirectory => Self::Absent,
            _ if error.raw_os_error() == Some(ESRCH) => Self::Gone,
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<Malformed> for Reason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}
