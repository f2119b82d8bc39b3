//! What could not be learnt, and why. A missing fact is never a zero.

use crate::units::{Bytes, Malformed, NodeId, PciAddress, Pid, seconds};
use std::fmt;
use std::time::Duration;

/// One fact that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The process it is about; `None` for the machine and its devices.
    pub pid: Option<Pid>,
    /// What is missing.
    pub fact: Fact,
    /// Why.
    pub reason: Reason,
}

/// What can be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// NVML's answer as a whole: which GPUs there are and who uses them.
    Driver,
    /// The processes of one GPU, by its index.
    GpuProcesses(u32),
    /// The node that one GPU, by its index, is attached to.
    GpuHomeNode(u32),
    /// Whether one GPU's own memory, by the GPU's index, is a node.
    GpuMemoryNode(u32),
    /// The whole of `/sys/devices/system/node`.
    Nodes,
    /// A node's CPUs.
    NodeCpus(NodeId),
    /// A node's memory sizes.
    NodeMemory(NodeId),
    /// A node's distances.
    NodeDistances(NodeId),
    /// A setting of the kernel, by its name for sysctl.
    Setting(&'static str),
    /// The list of PCI devices.
    PciDevices,
    /// The node of one PCI device.
    PciNode(PciAddress),
    /// The list of processes.
    Processes,
    /// So many processes, all of each: they are there, and may not be looked at.
    HiddenProcesses(usize),
    /// All of one process.
    Process,
    /// A process's argv.
    Command,
    /// A process's environment.
    Environ,
    /// A process's control group.
    Cgroup,
    /// What a process's control group leaves it (`cpuset.cpus.effective` and its kin).
    Cpuset,
    /// The files that a process has open (`fd`).
    OpenFiles,
    /// The trainer that a process works for.
    Trainer,
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
    /// CPU time over a window: that of some threads.
    CpuTime,
    /// On which side of a limit a process's memory is: it was estimated, and the limit lies within the error.
    MemoryLimit,
}

impl Fact {
    /// Whether processes may be hidden behind this gap or could not be judged if there were any, so that an audit
    /// without a mismatch still has not seen everything.
    pub fn leaves_open(&self) -> bool {
        matches!(
            self,
            Self::Driver
                | Self::GpuProcesses(_)
                | Self::GpuHomeNode(_)
                | Self::Processes
                | Self::HiddenProcesses(_)
                | Self::Process
        )
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Driver => f.write_str("NVIDIA driver"),
            Self::GpuProcesses(index) => write!(f, "processes of GPU {index}"),
            Self::GpuHomeNode(index) => write!(f, "home node of GPU {index}"),
            Self::GpuMemoryNode(index) => write!(f, "memory node of GPU {index}"),
            Self::Nodes => f.write_str("NUMA nodes"),
            Self::NodeCpus(node) => write!(f, "CPUs of node {node}"),
            Self::NodeMemory(node) => write!(f, "memory of node {node}"),
            Self::NodeDistances(node) => write!(f, "distances of node {node}"),
            Self::Setting(name) => f.write_str(name),
            Self::PciDevices => f.write_str("PCI devices"),
            Self::PciNode(address) => write!(f, "node of PCI device {address}"),
            Self::Processes => f.write_str("processes"),
            Self::HiddenProcesses(count) => write!(f, "{count} processes"),
            Self::Process => f.write_str("process"),
            Self::Command => f.write_str("command"),
            Self::Environ => f.write_str("environ"),
            Self::Cgroup => f.write_str("cgroup"),
            Self::Cpuset => f.write_str("cpuset"),
            Self::OpenFiles => f.write_str("open files"),
            Self::Trainer => f.write_str("trainer"),
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
pub enum Reason {
    /// The kernel refused to show it to this user (EACCES, EPERM).
    Denied,
    /// Whoever ran the program did not want to know.
    NotAsked,
    /// The process or thread ended meanwhile.
    Gone,
    /// There is no such file or no such value.
    Absent,
    /// Whoever reads it waited for so long without an answer: the process is stuck within the kernel, or its memory is.
    TimedOut(Duration),
    /// The time for the whole look, which is this, was over before.
    Late(Duration),
    /// It was there and made no sense; says what.
    Malformed(String),
    /// So much of a GPU's memory is in use, and nobody who uses it is to be seen.
    InUseByNobody(Bytes),
    /// Something else went wrong; says what.
    Failed(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied => f.write_str("permission denied"),
            Self::NotAsked => f.write_str("not asked for"),
            Self::Gone => f.write_str("gone"),
            Self::Absent => f.write_str("absent"),
            Self::TimedOut(wait) => write!(f, "did not answer within {}", seconds(*wait)),
            Self::Late(whole) => write!(f, "not reached within {}", seconds(*whole)),
            Self::Malformed(what) => write!(f, "malformed: {what}"),
            Self::InUseByNobody(used) => write!(
                f,
                "{used} in use by processes that are not visible here: another PID namespace; run on the host or with \
                 the host's PID namespace"
            ),
            Self::Failed(what) => f.write_str(what),
        }
    }
}

impl From<&std::io::Error> for Reason {
    /// Maps what open and read give on procfs and sysfs.
    fn from(error: &std::io::Error) -> Self {
        /// A held file of a process that has ended reads as this; std has no name for it.
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
