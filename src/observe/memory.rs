//! How the memory of one process is read: a sample of its pages, every page, or nothing.
//!
//! A full `numa_maps` walks all page tables of a process and holds its mmap lock meanwhile: 14 ms for each GiB in 4 KiB pages,
//! in which the process cannot map or unmap (up to Linux 6.18). So by default only small processes are read in full. Of
//! others the kernel is asked for the nodes of a few hundred pages, and of up to some thousand where these leave an answer open.
//! That costs the same for every size.
//!
//! Workers that were forked from a trainer are sampled like others, although they share most pages with it. Which ones they share
//! cannot be known for less: a worker that writes to a page gets a copy of its own, perhaps on another node, and neither `maps`
//! nor the counters show that. The numbers of page frames would, in `pagemap`, but only for root, and a page of it at a time. Of
//! shared memory two processes have the same pages at the same offset, but each has its own set of present ones.
//!
//! A process may be stuck while it holds its mmap lock. A wait for the lock in move_pages(2) cannot be interrupted, even by
//! SIGKILL; a wait in a read of `maps`, or in a query of it, can. So `maps` is always read first.

pub(crate) mod backing;
pub(crate) mod estimate;
pub(crate) mod huge;
mod mapping_query;
pub(crate) mod maps;
pub(crate) mod mountinfo;
pub(crate) mod numa_maps;
pub(crate) mod numa_stat;
pub(crate) mod sample;
pub(crate) mod syscalls;

pub(crate) use backing::{TORCH_PREFIX, backing_of_file, torch_maker};
pub(crate) use estimate::{Bounds, Population, pages};
pub(crate) use huge::HugeDevices;
pub(crate) use maps::each_mapping;
pub(crate) use mountinfo::{Device, read_huge_mounts};
pub(crate) use numa_maps::{NumaMaps, redact_line};
pub(crate) use sample::{SampleError, Sampling};
pub(crate) use syscalls::{Region, page_nodes, present_regions};

use crate::machine::{Memory, Reason};
use crate::observe::memory::numa_maps::walk::{self, is_small};
use crate::observe::process::{Resident, cgroup, stat};
use crate::observe::root::Root;
use crate::units::{Limits, NodeBytes, Pid};

/// How the memory of running processes is read. A recording has every page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum MemoryReading {
    /// Every page of small processes, a sample of others.
    #[default]
    Sample,
    /// Every page.
    Exact,
    /// Nothing.
    None,
}

/// Why the memory of a process is unknown.
#[derive(Debug)]
pub(crate) struct UnreadMemory {
    pub(crate) reason: Reason,
    /// The memory of all processes in its control group, which is known instead.
    pub(crate) group: Option<NodeBytes>,
}

/// Reads the memory of processes, from several threads at once.
#[derive(Debug, Default)]
pub(crate) struct MemoryReader {
    how: MemoryReading,
    has_thread_policies: bool,
    sampling: Sampling,
}

impl MemoryReader {
    /// `limits`: where it matters how exact a sample is. `has_thread_policies`: whether the policy of each thread is read.
    pub(crate) fn new(how: MemoryReading, limits: Limits, has_thread_policies: bool) -> Self {
        Self {
            how,
            has_thread_policies,
            sampling: Sampling::new(limits),
        }
    }

    /// The memory of one process. `start_time_ticks` and `resident` were read before.
    pub(crate) fn read(
        &self,
        root: &Root,
        pid: Pid,
        start_time_ticks: u64,
        resident: Option<&Resident>,
    ) -> Result<Memory, UnreadMemory> {
        let memory = match self.how {
            MemoryReading::None => Err(Reason::NotAsked),
            _ if !root.is_live() => walk::read_recorded(root, pid),
            MemoryReading::Exact => {
                let memory = walk::read_all(root, pid, resident, root.patience().asked_walk());
                memory.map(|memory| self.with_thread_policies(root, pid, memory))
            }
            MemoryReading::Sample => self.sampled(root, pid, start_time_ticks, resident),
        };
        memory.map_err(|reason| UnreadMemory {
            group: match reason {
                Reason::NotAsked | Reason::Absent | Reason::Gone => None,
                // Read again, because this is rare: to keep the groups of every process took 2 KiB for each where there are
                // twelve hierarchies.
                _ => cgroup::read_cgroup(root, pid)
                    .ok()
                    .and_then(|groups| numa_stat::read_group_memory(root, &groups)),
            },
            reason,
        })
    }

    fn sampled(
        &self,
        root: &Root,
        pid: Pid,
        start_time_ticks: u64,
        resident: Option<&Resident>,
    ) -> Result<Memory, Reason> {
        let read_all = || {
            let memory = walk::read_all(root, pid, resident, root.patience().unasked_walk())?;
            Ok(self.with_thread_policies(root, pid, memory))
        };
        // move_pages takes a PID of this process's own namespace.
        if is_small(resident) || !root.is_of_own_numbers() {
            return read_all();
        }
        let memory = sample::memory(root, pid, resident, &self.sampling);
        match memory.map(|memory| self.with_thread_policies(root, pid, memory)) {
            // The pages are read by PID, which may belong to another process by now.
            Ok(_) if stat::has_ended(root, pid, start_time_ticks) => Err(Reason::Gone),
            Ok(memory) => Ok(memory),
            Err(SampleError::Failed(reason)) => Err(reason),
            // Most often by the seccomp filter of a container.
            Err(SampleError::Unsupported) => read_all(),
        }
    }

    fn with_thread_policies(&self, root: &Root, pid: Pid, memory: Memory) -> Memory {
        match self.has_thread_policies {
            true => walk::with_thread_policies(root, pid, memory),
            false => memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_of_threads_are_read_only_if_asked_for() {
        let root = Root::live();
        let policies = |has_thread_policies| {
            let reader =
                MemoryReader::new(MemoryReading::Exact, Limits::default(), has_thread_policies);
            let memory = reader.read(&root, Pid(std::process::id()), 0, None);
            memory.unwrap().thread_policies.values().sum::<usize>()
        };
        // The test has a thread of its own.
        assert_eq!(policies(false), 0);
        assert!(policies(true) >= 2);
    }
}
