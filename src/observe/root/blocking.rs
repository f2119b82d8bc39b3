//! Files of the kernel whose reader may have to wait without end, and the processes for which it did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::machine::Reason;
use crate::units::Pid;

/// For these files of a process the kernel takes the lock of its memory map, or waits for an exec to end. Where the process is
/// stuck with either, their reader is stuck too, until it is killed (proc_pid_cmdline_read, environ_read, and the open
/// functions of maps and numa_maps in the kernel's fs/proc).
const MEMORY_FILES: &[&str] = &["cmdline", "environ", "maps", "numa_maps", "pagemap"];

/// The process for which the reader of this file may have to wait. Drivers write the files below `fdinfo`. All other files
/// that are read below /proc/PID only wait for short locks of the kernel.
fn blocks_on(path: &str) -> Option<Pid> {
    let (pid, rest) = path.strip_prefix("proc/")?.split_once('/')?;
    let blocks = rest.starts_with("fdinfo/")
        || rest.contains("/fdinfo/")
        || MEMORY_FILES.contains(&rest.rsplit('/').next()?);
    pid.parse().ok().map(Pid).filter(|_| blocks)
}

/// What did not answer in time. Its files are not tried again.
#[derive(Debug, Default)]
pub(crate) struct Unresponsive {
    processes: Mutex<BTreeMap<Pid, Reason>>,
    /// Whether `processes` has any: this is checked for every file.
    has_processes: AtomicBool,
    /// Why no process's files are read that may block.
    all: OnceLock<Reason>,
    /// Why the files of NVIDIA's driver are not read.
    nvidia_driver: OnceLock<Reason>,
}

impl Unresponsive {
    pub(crate) fn add(&self, pid: Pid, reason: Reason) {
        self.locked().entry(pid).or_insert(reason);
        self.has_processes.store(true, Ordering::Release);
    }

    pub(crate) fn add_all(&self, reason: Reason) {
        // The first reason counts.
        let _ = self.all.set(reason);
    }

    pub(crate) fn add_nvidia_driver(&self, reason: Reason) {
        // The first reason counts.
        let _ = self.nvidia_driver.set(reason);
    }

    /// Why a read of this file would block, or might.
    pub(crate) fn reason(&self, path: &str) -> Option<Reason> {
        if path.starts_with("proc/driver/nvidia/")
            && let Some(reason) = self.nvidia_driver.get()
        {
            return Some(reason.clone());
        }
        let has_any = self.all.get().is_some() || self.has_processes.load(Ordering::Acquire);
        let pid = has_any.then(|| blocks_on(path)).flatten()?;
        self.all
            .get()
            .cloned()
            .or_else(|| self.locked().get(&pid).cloned())
    }

    /// Whether a read of this file would block, or might.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.reason(path).is_some()
    }

    pub(crate) fn processes(&self) -> BTreeSet<Pid> {
        self.locked().keys().copied().collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Pid, Reason>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_wait_for_the_process_are_known() {
        for path in [
            "proc/7/cmdline",
            "proc/7/task/8/numa_maps",
            "proc/7/fdinfo/3",
            "proc/7/task/8/fdinfo/3",
        ] {
            assert_eq!(blocks_on(path), Some(Pid(7)), "{path}");
        }
        for path in [
            "proc/7/stat",
            "proc/7/fd/3",
            "proc/cmdline",
            "proc/self/maps",
            "sys/7/maps",
        ] {
            assert_eq!(blocks_on(path), None, "{path}");
        }
    }

    #[test]
    fn only_the_blocking_files_of_an_unresponsive_process_are_given_up() {
        let unresponsive = Unresponsive::default();
        assert!(!unresponsive.has_file("proc/7/maps"));
        unresponsive.add(Pid(7), Reason::Gone);
        assert!(unresponsive.has_file("proc/7/maps"));
        assert!(!unresponsive.has_file("proc/7/stat") && !unresponsive.has_file("proc/8/maps"));
        assert!(!unresponsive.has_file("proc/driver/nvidia/version"));
        let reason = Reason::Failed("nothing could be started".to_owned());
        unresponsive.add_nvidia_driver(reason.clone());
        assert_eq!(
            unresponsive.reason("proc/driver/nvidia/version"),
            Some(reason),
            "not that it did not answer in time"
        );
    }

    #[test]
    fn all_processes_can_be_given_up() {
        let unresponsive = Unresponsive::default();
        unresponsive.add_all(Reason::Denied);
        assert_eq!(unresponsive.reason("proc/7/maps"), Some(Reason::Denied));
        assert_eq!(unresponsive.reason("proc/7/stat"), None);
        assert_eq!(unresponsive.reason("proc/cmdline"), None);
    }
}
