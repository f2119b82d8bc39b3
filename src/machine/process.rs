//! Processes and their threads.

use crate::units::{Bytes, Cpu, CpuSet, NodeBytes, NodeSet, Pid, StartTicks};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::machine::{BindingRequest, Environment, Memory};

/// One process. Its text is chosen by its owner: bytes that are not UTF-8 are replaced, control characters are kept.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// Its PID.
    pub(crate) pid: Pid,
    /// Its parent's PID; 0 where the parent is outside this PID namespace.
    pub(crate) ppid: Pid,
    /// Its PIDs in the PID namespaces inside the observer's, outermost first. Empty where it is in the observer's own
    /// namespace, and where `status` could not be read.
    pub(crate) inner_pids: Vec<u32>,
    /// The PID of its session's leader. A child inherits the session, and a process keeps it when its parent changes. 0 for a
    /// leader outside this PID namespace.
    pub(crate) session: Pid,
    /// When it started, in clock ticks after boot (field 22 of `stat`). With the PID it identifies the process.
    pub(crate) start_time_ticks: u64,
    /// The main thread's name (`comm`), cut to 15 bytes by the kernel.
    pub(crate) name: String,
    /// argv, which may be empty; `None` where it could not be read.
    pub(crate) command: Option<Vec<String>>,
    /// The bindings that its argv asks for, for itself or for its children.
    pub(crate) asks: Vec<BindingRequest>,
    /// The real user id; `None` where `status` could not be read.
    pub(crate) uid: Option<u32>,
    /// The CPU on which the main thread last ran (field 39 of `stat`).
    pub(crate) last_cpu: Cpu,
    /// The CPUs on which the main thread may run (`Cpus_allowed_list`).
    pub(crate) affinity: Option<CpuSet>,
    /// The nodes that its cpuset allows for memory (`Mems_allowed_list`).
    pub(crate) mems_allowed: Option<NodeSet>,
    /// Its threads by TID, with the main thread; `None` where they could not be listed.
    pub(crate) threads: Option<Vec<Thread>>,
    /// Policy and pages; `None` where they could not be read.
    pub(crate) memory: Option<Memory>,
    /// Anonymous and shared memory by node of all processes of its control group (`memory.numa_stat`), where its own memory
    /// could not be read. `None` where it was not requested or is unknown.
    pub(crate) group_memory: Option<NodeBytes>,
    /// The part of its anonymous memory that is in swap, on no node (`VmSwap`). `None` where it is unknown.
    pub(crate) swap: Option<Bytes>,
    /// The least CPU quota of its control groups. `None` where there is none, or it is unknown.
    pub(crate) cpu_quota: Option<CpuQuota>,
    /// `None` where the environment could not be read.
    pub(crate) environment: Option<Environment>,
    /// Its control group in every hierarchy; `None` where they could not be read.
    pub(crate) groups: Option<Arc<[ControlGroup]>>,
    /// `None` where it is unknown, and where no cpuset controller is enabled.
    pub(crate) cpuset: Option<Cpuset>,
    /// The inodes of its open pipes, without standard input and output. `None` where they could not be read, and where they were
    /// not needed: they only connect orphaned workers with their trainer.
    pub(crate) pipes: Option<BTreeSet<u64>>,
}

impl Process {
    /// For tests: a process of which only the PID matters.
    #[cfg(test)]
    pub(crate) fn bare(pid: Pid) -> Self {
        Self {
            pid,
            ppid: Pid(0),
            inner_pids: Vec::new(),
            session: Pid(0),
            start_time_ticks: 0,
            name: String::new(),
            command: None,
            asks: Vec::new(),
            uid: None,
            last_cpu: Cpu(0),
            affinity: None,
            mems_allowed: None,
            threads: None,
            memory: None,
            group_memory: None,
            swap: None,
            cpu_quota: None,
            environment: None,
            groups: None,
            cpuset: None,
            pipes: None,
        }
    }
}

/// The limits of a control group's cpuset controller (`cpuset.cpus.effective` and `cpuset.mems.effective`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cpuset {
    /// The CPUs that an affinity may contain.
    pub(crate) cpus: CpuSet,
    /// The nodes that may hold the memory.
    pub(crate) mems: NodeSet,
    /// Whether the scheduler does not spread threads over these CPUs (`cpuset.cpus.partition` is `isolated`).
    pub(crate) is_isolated: bool,
}

/// How much CPU time a control group may use (`cpu.max`, `cpu.cfs_quota_us`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CpuQuota {
    /// The CPU time of a period, in thousandths of one CPU.
    pub(crate) milli_cpus: u64,
    /// The folder of the group that has this quota.
    pub(crate) group: String,
}

/// One thread.
#[derive(Debug, Clone)]
pub(crate) struct Thread {
    /// Its TID.
    pub(crate) tid: u32,
    /// Its name (`comm`), by default that of the thread that created it. `None` where `stat` could not be read.
    pub(crate) name: Option<Arc<str>>,
    /// When it started, in clock ticks after boot. `None` where `stat` could not be read.
    pub(crate) start_time_ticks: Option<StartTicks>,
    /// The CPU on which it last ran, old while it sleeps. `None` where `stat` could not be read.
    pub(crate) last_cpu: Option<Cpu>,
    /// The CPUs on which it may run. Threads with equal sets share one. On a running machine these are the active CPUs
    /// (sched_getaffinity). In a recording `status` also lists possible CPUs, which are on no node.
    pub(crate) affinity: Option<Arc<CpuSet>>,
}

/// A process's control group in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlGroup {
    /// The controllers of a version 1 hierarchy. Empty for version 2, and for a hierarchy with only a name.
    pub(crate) controllers: Vec<String>,
    /// Whether this is the version 2 hierarchy.
    pub(crate) is_v2: bool,
    /// Its path in the reader's cgroup namespace; `/../…` is outside of it.
    pub(crate) path: String,
}
