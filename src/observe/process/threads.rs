//! `/proc/PID/task`: the threads of a process.

use std::sync::Arc;

use crate::machine::{Fact, Gaps, Reason, Thread};
use crate::observe::process::{Affinities, Stat, is_ended, parse_stat};
use crate::observe::root::{Folder, Root};
use crate::units::{Cpu, Pid};

/// A process's living threads, ascending. Empty for a process that ended.
pub(crate) fn tids(root: &Root, pid: Pid) -> Vec<u32> {
    let listed = root.numbers(&format!("proc/{pid}/task"));
    let mut tids = listed.unwrap_or_default();
    if root.thread_to_ask(pid) != pid {
        // Its main thread has ended.
        tids.retain(|tid| *tid != pid.0);
    }
    tids
}

/// Reads `stat` and the affinity of each thread. `main` is the process's own `stat`.
pub(crate) fn read_threads(
    root: &Root,
    pid: Pid,
    main: &Stat,
    gaps: &mut Gaps,
) -> Option<Vec<Thread>> {
    let folder = root.folder_at(format!("proc/{pid}/task"));
    let tids = gaps.value_or_note(pid, Fact::Threads, root.numbers_in(&folder))?;
    let mut reader = ThreadReader {
        root,
        pid,
        folder: &folder,
        affinities: Affinities::new(root),
        name: Arc::from(main.name.as_str()),
        buffer: Vec::new(),
    };
    // The process's `stat` is also that of its main thread. A recording keeps both files.
    // Where the main thread has ended, `main` has the state of another one.
    let is_main_read = root.is_live() && !root.is_tapped() && root.thread_to_ask(pid) == pid;
    let mut threads = Vec::with_capacity(tids.len());
    for tid in tids {
        let stat = (is_main_read && tid == pid.0).then_some(main);
        threads.extend(reader.read(tid, stat, gaps));
    }
    Some(threads)
}

/// Reads the threads of one process, with one buffer.
struct ThreadReader<'a> {
    root: &'a Root,
    pid: Pid,
    folder: &'a Folder,
    affinities: Affinities<'a>,
    /// The last thread's name. Most threads have the same, and share it.
    name: Arc<str>,
    buffer: Vec<u8>,
}

/// The fields of a thread's `stat` that [`Thread`] has.
struct ThreadStat {
    name: Arc<str>,
    start_time_ticks: u64,
    last_cpu: Cpu,
}

impl ThreadReader<'_> {
    /// `None` for a thread that ended meanwhile.
    fn read(&mut self, tid: u32, stat: Option<&Stat>, gaps: &mut Gaps) -> Option<Thread> {
        let stat = match stat {
            Some(stat) => Ok(self.thread_stat(stat)),
            None => match self.read_stat(tid) {
                Ok(None) => return None,
                Ok(Some(stat)) => Ok(stat),
                Err(reason) => Err(reason),
            },
        };
        let affinity = self.affinities.of(tid, self.folder, &mut self.buffer);
        let has_ended = |reason: Option<&Reason>| reason.is_some_and(is_ended);
        if self.root.is_live()
            && (has_ended(stat.as_ref().err()) || has_ended(affinity.as_ref().err()))
        {
            return None;
        }
        let stat = gaps.value_or_note(self.pid, Fact::Thread(tid), stat);
        Some(Thread {
            tid,
            name: stat.as_ref().map(|stat| stat.name.clone()),
            start_time_ticks: stat.as_ref().map(|stat| stat.start_time_ticks.into()),
            last_cpu: stat.map(|stat| stat.last_cpu),
            affinity: gaps.value_or_note(self.pid, Fact::Thread(tid), affinity),
        })
    }

    /// `None` for the main thread that ended before the others: it runs nowhere.
    fn read_stat(&mut self, tid: u32) -> Result<Option<ThreadStat>, Reason> {
        let path = format!("{tid}/stat");
        self.root.read_below(self.folder, &path, &mut self.buffer)?;
        let stat = parse_stat(&self.buffer)?;
        if stat.is_dead() {
            return Ok(None);
        }
        Ok(Some(self.thread_stat(&stat)))
    }

    fn thread_stat(&mut self, stat: &Stat) -> ThreadStat {
        if *self.name != *stat.name {
            self.name = Arc::from(stat.name.as_str());
        }
        ThreadStat {
            name: self.name.clone(),
            start_time_ticks: stat.start_time_ticks,
            last_cpu: stat.last_cpu,
        }
    }
}
