//! Processes and their threads.

use crate::units::{Cpu, CpuSet, NodeBytes, NodeSet, Pid};
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::machine::binding_request::BindingRequest;
use crate::machine::environment::Environment;
use crate::machine::memory::Memory;

/// One process. Text in it is what its owner chose: bytes that are no UTF-8 are replaced, control
/// characters are still there.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub pid: Pid,
    /// Its parent's number; 0 for none in this namespace.
    pub ppid: Pid,
    /// Its numbers in the PID namespaces within the observer's that it is in, outermost first. Empty where it is in the
    /// observer's own, and where `status` could not be read.
    pub inner_pids: Vec<u32>,
    /// The PID of its session's leader, which a child inherits and a process keeps whoever its parent is; 0 for a leader
    /// outside of this PID namespace.
    pub session: Pid,
    /// When it started, in clock ticks after boot (field 22 of `stat`): with the PID its identity.
    pub start_time_ticks: u64,
    /// The main thread's name (`comm`), cut to 15 bytes by the kernel.
    pub name: String,
    /// argv; empty where it has none, `None` where it could not be read.
    pub command: Option<Vec<String>>,
    /// The bindings that its argv asks for, be it for itself or for what it starts.
    pub asks: Vec<BindingRequest>,
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
    /// Policy and pages; `None` where they could not be read.
    pub memory: Option<Memory>,
    /// Anonymous and shared memory of its whole control group by node (`memory.numa_stat`), where its own could not be
    /// read: all processes of the group have a part in it. `None` where nobody asked, or nothing tells.
    pub group_memory: Option<NodeBytes>,
    /// What its environment tells; `None` where that could not be read.
    pub environment: Option<Environment>,
    /// Its control groups, of every hierarchy; `None` where they could not be read.
    pub groups: Option<Vec<ControlGroup>>,
    /// What its control group leaves it; `None` where that is not known, or no controller is at work.
    pub cpuset: Option<Cpuset>,
    /// The inodes of the pipes that it holds, its standard input and outputs aside. `None` where nobody looked, as no
    /// worker's trainer was sought, and where they could not be read.
    pub pipes: Option<BTreeSet<u64>>,
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
            environment: None,
            groups: None,
            cpuset: None,
            pipes: None,
        }
    }
}

/// What a control group's cpuset controller leaves a process, whatever it would choose (`cpuset.cpus.effective` and
/// `cpuset.mems.effective`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpuset {
    /// The CPUs that its affinity may have.
    pub cpus: CpuSet,
    /// The nodes that its memory may be on.
    pub mems: NodeSet,
}

/// One thread.
#[derive(Debug, Clone)]
pub struct Thread {
    /// Its number.
    pub tid: u32,
    /// Its own name (`comm`), which it has from its maker where nobody gave it one. `None` where `stat` could not be read.
    pub name: Option<Arc<str>>,
    /// When it started, in clock ticks after boot. `None` where `stat` could not be read.
    pub start_time_ticks: Option<u64>,
    /// The CPU on which it last ran; stale while it sleeps.
    pub last_cpu: Option<Cpu>,
    /// The CPUs on which it may run. Threads that may run on the same share one set. Of a running one those that are there
    /// (sched_getaffinity), of a recorded one also the merely possible ones that its `status` lists: these are of no node.
    pub affinity: Option<Arc<CpuSet>>,
}

/// A control group that a process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlGroup {
    /// The controllers of a hierarchy of version 1. Empty for version 2, and for one that only has a name.
    pub controllers: Vec<String>,
    /// Whether this is of version 2's one hierarchy.
    pub is_v2: bool,
    /// Its path below the reader's own root; one that begins with `/../` is outside of it.
    pub path: String,
}
