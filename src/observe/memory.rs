//! How the memory of one process is read: a sample of its pages, every page, or nothing.
//!
//! A full `numa_maps` walks all page tables of a process with its mmap lock held: 14 ms for each GiB in 4 KiB pages, in which
//! the process cannot map or unmap (up to Linux 6.18). So by default only small processes are read so. Of others a few
//! thousand pages are asked for their nodes, which costs the same however large they are.
//!
//! A process may be stuck with its mmap lock held. Waiting for it in move_pages(2) cannot be interrupted, even by SIGKILL;
//! waiting in a read of `maps` can. So `maps` is always read first, and hangs first.

pub mod estimate;
pub mod group;
pub mod huge;
pub mod maps;
pub mod mountinfo;
pub mod numa_maps;
pub mod numa_stat;
pub mod sample;
pub mod syscalls;
pub mod walk;

use crate::machine::gap::Reason;
use crate::machine::memory::Memory;
use crate::observe::memory::huge::HugeDevices;
use crate::observe::memory::numa_maps::NumaMaps;
use crate::observe::memory::sample::Refused;
use crate::observe::process::procfs;
use crate::observe::process::status::Resident;
use crate::observe::root::Root;
use crate::units::{Bytes, NodeBytes, Pid};

/// How the memory of running processes is read. A recording has every page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemoryReading {
    /// Small processes whole, of others a sample.
    #[default]
    Sample,
    /// Every page.
    Exact,
    /// Not at all.
    None,
}

/// Up to this size every page is counted: walking 16,384 pages takes about a millisecond, which is what a sample costs.
const SMALL: Bytes = Bytes(64 << 20);

/// Why a process's memory is not known.
#[derive(Debug)]
pub struct Unread {
    /// For the gap.
    pub reason: Reason,
    /// What its control group's counters tell instead, of all processes in it.
    pub group: Option<NodeBytes>,
}

/// Reads the memory of processes; several threads may do so at once.
#[derive(Debug, Default)]
pub struct MemoryReader {
    how: MemoryReading,
    huge: HugeDevices,
}

impl MemoryReader {
    /// One that reads in this way.
    pub fn new(how: MemoryReading) -> Self {
        Self {
            how,
            huge: HugeDevices::default(),
        }
    }

    /// One process's memory. `start_time_ticks` and `resident` are what was read of it before.
    ///
    /// # Errors
    /// The reason for a gap, and what is known of its control group.
    pub fn read(
        &self,
        root: &Root,
        pid: Pid,
        start_time_ticks: u64,
        resident: Option<&Resident>,
    ) -> Result<Memory, Unread> {
        let memory = match self.how {
            MemoryReading::None => Err(Reason::NotAsked),
            _ if !root.is_live() => recorded(root, pid),
            MemoryReading::Exact => walk::whole(root, pid, resident, root.patience().asked_walk()),
            MemoryReading::Sample => self.sampled(root, pid, start_time_ticks, resident),
        };
        memory.map_err(|reason| Unread {
            group: match reason {
                Reason::NotAsked | Reason::Absent | Reason::Gone => None,
                // Few need them once more: to hand everybody's on took 2 KiB each where there are twelve hierarchies.
                _ => procfs::read_cgroup(root, pid)
                    .ok()
                    .and_then(|groups| group::read_memory(root, &groups)),
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
        let unasked = root.patience().unasked_walk();
        let is_small = resident.is_some_and(|resident| resident.all() <= SMALL);
        // Pages are asked for by number, which has to be the one that the kernel knows us to mean.
        if is_small || !root.is_of_own_numbers() {
            return walk::whole(root, pid, resident, unasked);
        }
        match sample::memory(root, pid, resident, &self.huge) {
            // Its number may be another's by now: of all that is read here pages alone are asked by number.
            Ok(_) if procfs::has_ended(root, pid, start_time_ticks) => Err(Reason::Gone),
            Ok(memory) => Ok(memory),
            Err(Refused::Because(reason)) => Err(reason),
            // A container's seccomp filter, most often.
            Err(Refused::ToSample) => walk::whole(root, pid, resident, unasked),
        }
    }
}

fn recorded(root: &Root, pid: Pid) -> Result<Memory, Reason> {
    let mut maps = NumaMaps::default();
    root.read_lines(&walk::path(pid), |line| maps.line(line))?;
    let memory = maps.finish().ok_or(Reason::Absent)?;
    Ok(walk::with_own_thread(root, pid, memory))
}
