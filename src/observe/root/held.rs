//! Open folders of processes.
//!
//! An open folder `/proc/PID` belongs to one process for good: the kernel finds its files by the process, not by the number.
//! Once that process is gone, they are gone too, even if another process has its PID by then. So what was read through one
//! folder is of one process, and it is not necessary to compare the start times at the end.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::{Resource, getrlimit};

use crate::units::{Pid, number};

/// The most folders that are open, where the limit of open files allows it. Processes beyond are read by their path.
const MOST: usize = 4096;

/// The open folders, by process.
#[derive(Debug, Default)]
pub(crate) struct HeldFolders {
    folders: RwLock<BTreeMap<Pid, Arc<OwnedFd>>>,
    /// Whether there are any: this is checked for every file.
    has_any: AtomicBool,
    most: OnceLock<usize>,
}

impl HeldFolders {
    /// Opens the folder of the process that has this PID now. Where that is not possible, nothing is held.
    pub(crate) fn hold(&self, pid: Pid) {
        let most = *self.most.get_or_init(most);
        if self.count() >= most {
            return;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if let Ok(folder) = rustix::fs::openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()) {
            let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
            folders.insert(pid, Arc::new(folder));
            self.has_any.store(true, Ordering::Release);
        }
    }

    /// Closes the folders of the processes that `keep` does not accept.
    pub(crate) fn retain(&self, keep: impl Fn(Pid) -> bool) {
        if self.has_any.load(Ordering::Acquire) {
            let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
            folders.retain(|pid, _| keep(*pid));
            self.has_any.store(!folders.is_empty(), Ordering::Release);
        }
    }

    /// Closes the folder of this process.
    pub(crate) fn release(&self, pid: Pid) {
        let mut folders = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        folders.remove(&pid);
    }

    /// The open folder of a process; `None` where it is not held.
    pub(crate) fn of(&self, pid: Pid) -> Option<Arc<OwnedFd>> {
        if !self.has_any.load(Ordering::Acquire) {
            return None;
        }
        let folders = self.folders.read().unwrap_or_else(PoisonError::into_inner);
        folders.get(&pid).cloned()
    }

    /// The open folder of the process to which this file belongs, and the file's path below it.
    pub(crate) fn above<'a>(&self, path: &'a str) -> Option<(Arc<OwnedFd>, &'a str)> {
        if !self.has_any.load(Ordering::Acquire) {
            return None;
        }
        let (pid, below) = path.strip_prefix("proc/")?.split_once('/')?;
        let pid = number("PID", pid.as_bytes()).ok().map(Pid)?;
        Some((self.of(pid)?, below))
    }

    fn count(&self) -> usize {
        let folders = self.folders.read();
        folders.unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Half of what this program may have open: the threads that read need some, and so does what is inherited.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    let half = limit.map_or(MOST, |limit| usize::try_from(limit / 2).unwrap_or(MOST));
    half.min(MOST)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::{fs, io};

    use super::*;
    use crate::observe::process::stat::read_stat;
    use crate::observe::process::{has_ended, is_ended};
    use crate::observe::root::Root;

    fn sleeper() -> (Child, Pid) {
        let child = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = Pid(child.id());
        (child, pid)
    }

    fn end(mut child: Child) {
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts processes until one has this PID. `None` where that may not be forced, or where other processes come first.
    fn process_with(pid: Pid) -> Option<Child> {
        for _ in 0..200 {
            let last = (pid.0 - 1).to_string();
            let forced: io::Result<()> = fs::write("/proc/sys/kernel/ns_last_pid", last);
            forced.ok()?;
            let (child, other) = sleeper();
            if other == pid {
                return Some(child);
            }
            end(child);
        }
        None
    }

    #[test]
    fn a_held_folder_does_not_show_another_process_that_has_its_pid() {
        let root = Root::live();
        let (child, pid) = sleeper();
        root.hold(pid);
        let started = read_stat(&root, pid).unwrap().start_time_ticks;
        assert!(!has_ended(&root, pid, started));
        end(child);
        let shown = || {
            let files = ["stat", "status", "statm", "cgroup", "environ", "maps"];
            let read = |file: &str| root.read(&format!("proc/{pid}/{file}")).map(drop);
            let mut shown: Vec<_> = files.map(|file| (file, read(file))).to_vec();
            let threads = root.numbers(&format!("proc/{pid}/task"));
            shown.push(("task", threads.map(drop)));
            shown.retain(|(_, read)| !read.as_ref().is_err_and(is_ended));
            shown
        };
        assert_eq!(shown(), []);
        assert!(has_ended(&root, pid, started));
        let Some(other) = process_with(pid) else {
            // For an ordinary user, and in most containers.
            let must_run = std::env::var_os("NUMA_AUDIT_TESTS").is_some_and(|value| value == "all");
            assert!(!must_run, "the next PID cannot be chosen");
            return;
        };
        assert_eq!(shown(), [], "the files are not those of the new process");
        assert!(has_ended(&root, pid, started));
        root.hold_only(|_| false);
        let by_path = read_stat(&root, pid).map(|stat| stat.pid);
        end(other);
        assert_eq!(by_path, Ok(pid), "without the folder they are");
    }

    #[test]
    fn a_process_that_waits_to_be_collected_has_ended() {
        let root = Root::live();
        let (mut child, pid) = sleeper();
        root.hold(pid);
        let started = read_stat(&root, pid).unwrap().start_time_ticks;
        child.kill().unwrap();
        // It is a zombie before long, and stays one until `wait`.
        while read_stat(&root, pid).is_ok_and(|stat| !stat.is_dead()) {
            std::thread::yield_now();
        }
        assert!(has_ended(&root, pid, started));
        assert_eq!(read_stat(&root, pid).map(|stat| stat.pid), Ok(pid));
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_is_not_held_is_compared_by_its_start_time() {
        let root = Root::live();
        let (child, pid) = sleeper();
        let started = read_stat(&root, pid).unwrap().start_time_ticks;
        assert!(!has_ended(&root, pid, started));
        assert!(has_ended(&root, pid, started + 1));
        end(child);
        assert!(has_ended(&root, pid, started));
    }

    #[test]
    fn only_files_below_a_held_folder_are_opened_through_it() {
        let held = HeldFolders::default();
        let own = Pid(std::process::id());
        let path = format!("proc/{own}/task/7/stat");
        assert!(held.above(&path).is_none());
        held.hold(own);
        assert_eq!(held.above(&path).unwrap().1, "task/7/stat");
        for other in ["proc/stat", "proc/self/stat", "sys/kernel", "proc/1/stat"] {
            assert!(held.above(other).is_none(), "{other}");
        }
        held.retain(|pid| pid != own);
        assert!(held.above(&path).is_none());
    }
}
