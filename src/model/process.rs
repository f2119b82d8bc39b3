//! Processes and their threads.

use std::fmt;

use super::cpus::{Cpu, CpuSet};
use super::memory::Memory;
use super::topology::NodeSet;

/// A process's number in the PID namespace of the observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One process. Text in it is what its owner chose: bytes that are no UTF-8 are replaced, control
/// characters are still there.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Its parent's number; 0 for none in this namespace.
    pub ppid: Pid,
    /// When it started, in clock ticks after boot (field 22 of `stat`): with the PID its identity.
    pub start_time_ticks: u64,
    /// The main thread's name (`comm`), cut to 15 bytes by the kernel.
    pub name: String,
    /// argv; empty where it has none, `None` where it could not be read.
    pub command: Option<Vec<String>>,
    /// The real user id; `None` where `status` could not be read.
    pub uid: Option<u32>,
    /// The CPU on which the main thread last ran (field 39 of `stat`).
    pub last_cpu: Cpu,
    /// The CPUs on which the main thread may run (`Cpus_allowed_list`).
    pub affinity: Option<CpuSet>,
    /// The nodes that the cpuset leaves it for memory (`Mems_allowed_list`).
    pub mems_allowed: Option<NodeSet>,
    /// Its threads by TID, the main thread among them; `None` where they could not be listed.
    pub threads: Option<Vec<Thread>>,
    /// Policy and pages; `None` where `numa_maps` could not be read.
    pub memory: Option<Memory>,
    /// What its environment tells of its rank; `None` where that could not be read.
    pub ranks: Option<Ranks>,
    /// The paths of its control groups, of every hierarchy; `None` where they could not be read.
    pub cgroups: Option<Vec<String>>,
}

/// Ranks as they were in the environment when the program was started; `None` for a variable that was
/// not set, or to no number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ranks {
    /// LOCAL_RANK: among the job's processes of this machine.
    pub local: Option<u32>,
    /// RANK: in the whole job.
    pub global: Option<u32>,
}

/// One thread.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The CPU on which it last ran; stale while it sleeps.
    pub last_cpu: Option<Cpu>,
    /// The CPUs on which it may run.
    pub affinity: Option<CpuSet>,
}
