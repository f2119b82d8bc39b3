//! Where threads may run: asked of the scheduler, which is quicker than to read each one's `status`.

use std::sync::Arc;

use rustix::io::Errno;
use rustix::thread::{CpuSet as Mask, sched_getaffinity};

use crate::machine::gap::Reason;
use crate::observe::process::status::parse_status;
use crate::observe::root::{Folder, Root};
use crate::units::{Cpu, CpuSet};

/// The affinities of one process's threads. Most are alike, and share one set.
pub struct Affinities<'a> {
    root: &'a Root,
    asks: bool,
    mask: Option<(Mask, Arc<CpuSet>)>,
    last: Option<Arc<CpuSet>>,
}

impl<'a> Affinities<'a> {
    /// The scheduler can be asked of threads that run here and that have the same numbers for us as in `/proc`. A recording
    /// needs the files.
    pub fn new(root: &'a Root) -> Self {
        Self {
            root,
            asks: root.is_of_own_numbers() && !root.is_tapped(),
            mask: None,
            last: None,
        }
    }

    /// The affinity of one thread, which is in this folder by its number.
    ///
    /// # Errors
    /// The reason for a gap.
    pub fn of(
        &mut self,
        tid: u32,
        folder: &Folder,
        buffer: &mut Vec<u8>,
    ) -> Result<Arc<CpuSet>, Reason> {
        if self.asks {
            let pid = i32::try_from(tid)
                .ok()
                .and_then(rustix::thread::Pid::from_raw);
            match pid.map(|pid| sched_getaffinity(Some(pid))) {
                Some(Ok(mask)) => return Ok(self.shared(mask)),
                Some(Err(Errno::SRCH)) => return Err(Reason::Gone),
                // More CPUs than the mask has room for (EINVAL, beyond 1024), or a filter that refuses the call.
                _ => self.asks = false,
            }
        }
        self.root
            .read_below(folder, &format!("{tid}/status"), buffer)?;
        let affinity = parse_status(buffer)?.affinity;
        if let Some(last) = self.last.as_ref().filter(|last| ***last == affinity) {
            return Ok(last.clone());
        }
        let affinity = Arc::new(affinity);
        self.last = Some(affinity.clone());
        Ok(affinity)
    }

    fn shared(&mut self, mask: Mask) -> Arc<CpuSet> {
        if let Some((_, set)) = self.mask.as_ref().filter(|(last, _)| *last == mask) {
            return set.clone();
        }
        let cpus = (0..Mask::MAX_CPU).filter(|cpu| mask.is_set(*cpu));
        let cpus = cpus.filter_map(|cpu| u32::try_from(cpu).ok()).map(Cpu);
        let set = Arc::new(cpus.collect());
        self.mask = Some((mask, Arc::clone(&set)));
        set
    }
}
