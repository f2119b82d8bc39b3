//! The CPUs on which threads may run: by sched_getaffinity(2), which is faster than reading the `status` of each thread.

use std::sync::Arc;

use rustix::io::Errno;
use rustix::thread::{CpuSet as KernelMask, sched_getaffinity};

use crate::machine::Reason;
use crate::observe::process::parse_status;
use crate::observe::root::{Folder, Root};
use crate::units::{Cpu, CpuSet};

/// Reads the affinities of the threads of one process. Most are equal, and share one set.
pub(crate) struct Affinities<'a> {
    root: &'a Root,
    uses_syscall: bool,
    last_mask: Option<(KernelMask, Arc<CpuSet>)>,
    last_listed: Option<Arc<CpuSet>>,
}

impl<'a> Affinities<'a> {
    /// The system call takes the TIDs of this PID namespace, so `/proc` must show the same. A recording needs the files.
    pub(crate) fn new(root: &'a Root) -> Self {
        Self {
            root,
            uses_syscall: root.is_of_own_numbers() && !root.is_tapped(),
            last_mask: None,
            last_listed: None,
        }
    }

    /// The affinity of one thread; `folder` is `/proc/PID/task`.
    pub(crate) fn of(
        &mut self,
        tid: u32,
        folder: &Folder,
        buffer: &mut Vec<u8>,
    ) -> Result<Arc<CpuSet>, Reason> {
        if self.uses_syscall {
            let pid = i32::try_from(tid)
                .ok()
                .and_then(rustix::thread::Pid::from_raw);
            match pid.map(|pid| sched_getaffinity(Some(pid))) {
                Some(Ok(mask)) => return Ok(self.shared(mask)),
                Some(Err(Errno::SRCH)) => return Err(Reason::Gone),
                // The machine has more CPUs than the mask (EINVAL, beyond 1024), or a filter refuses the call.
                _ => self.uses_syscall = false,
            }
        }
        self.root
            .read_below(folder, &format!("{tid}/status"), buffer)?;
        let affinity = parse_status(buffer)?.affinity;
        if let Some(last) = self.last_listed.as_ref().filter(|last| ***last == affinity) {
            return Ok(last.clone());
        }
        let affinity = Arc::new(affinity);
        self.last_listed = Some(affinity.clone());
        Ok(affinity)
    }

    fn shared(&mut self, mask: KernelMask) -> Arc<CpuSet> {
        if let Some((_, set)) = self.last_mask.as_ref().filter(|(last, _)| *last == mask) {
            return set.clone();
        }
        let cpus = (0..KernelMask::MAX_CPU).filter(|cpu| mask.is_set(*cpu));
        // Most machines have far fewer CPUs than the mask.
        let cpus = cpus.take(mask.count() as usize);
        let cpus = cpus.filter_map(|cpu| u32::try_from(cpu).ok()).map(Cpu);
        let set = Arc::new(cpus.collect());
        self.last_mask = Some((mask, Arc::clone(&set)));
        set
    }
}
