//! Processes whose main thread has ended while others live: `/proc/PID` then shows no memory and no open file, and
//! `/proc/PID/task/TID` of a living thread shows them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::units::Pid;

/// The living thread of each such process.
#[derive(Debug, Default)]
pub(crate) struct StandIns {
    threads: Mutex<BTreeMap<Pid, u32>>,
    /// Whether there are any: this is checked for every file.
    has_any: AtomicBool,
}

impl StandIns {
    pub(crate) fn add(&self, pid: Pid, tid: u32) {
        self.locked().insert(pid, tid);
        self.has_any.store(true, Ordering::Release);
    }

    pub(crate) fn of(&self, pid: Pid) -> Option<u32> {
        if !self.has_any.load(Ordering::Acquire) {
            return None;
        }
        self.locked().get(&pid).copied()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Pid, u32>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
