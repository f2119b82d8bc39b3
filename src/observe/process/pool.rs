//! The threads that read processes.
//!
//! A process that is stuck with its memory lock blocks the thread that reads it. A blocked read cannot be cancelled: its
//! thread is abandoned, partial results are kept, and another thread takes over. It ends with its process, unless it waits in
//! move_pages(2): then not even SIGKILL ends it (`left_behind.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::machine::Reason;
use crate::observe::deadline::Deadline;
use crate::observe::process::{left_behind, parse_stat};
use crate::observe::root::Root;
use crate::units::Pid;

/// The most threads that read at once. More would wait for the same locks in the kernel.
const MOST_AT_WORK: usize = 4;
/// The most threads that are abandoned before no more are started.
const MOST_STUCK: usize = 64;
/// The time between two checks for stuck threads.
const ROUND: Duration = Duration::from_millis(250);

/// The pool.
#[derive(Debug)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<ReaderThread>>,
    deadline: Deadline,
    most_at_work: usize,
    is_cut: AtomicBool,
}

/// What was read of a process.
#[derive(Debug)]
pub(crate) struct ReadOutcome<T> {
    /// All of it, or what there was when its thread was abandoned.
    pub(crate) found: T,
    /// Why it is incomplete.
    pub(crate) cut: Option<Reason>,
}

/// Holds what is read of one process.
#[derive(Debug, Default)]
struct Slot<T> {
    found: Mutex<T>,
    cut: Mutex<Option<Reason>>,
    is_settled: AtomicBool,
}

/// The number of processes that are not settled.
#[derive(Debug, Default)]
struct Remaining(AtomicUsize);

impl<T> Slot<T> {
    /// Ends the wait for this process, with the reason for an early end. A second call does nothing. Returns whether this
    /// was the last process.
    fn settle(&self, cut: Option<Reason>, remaining: &Remaining) -> bool {
        if self.is_settled.swap(true, Ordering::AcqRel) {
            return false;
        }
        *lock(&self.cut) = cut;
        remaining.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

type ReadTask = Box<dyn FnOnce(&Root) + Send>;

struct Shared {
    root: Arc<Root>,
    queue: Mutex<Queue>,
    has_work: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<(Pid, ReadTask)>,
    is_closed: bool,
}

/// One thread of the pool, as seen by the caller.
#[derive(Debug)]
struct ReaderThread {
    state: Arc<Mutex<ReaderState>>,
    /// The number of tasks taken and the CPU time, at the last progress.
    progress: (u64, Option<u64>),
    progressed_at: Instant,
}

#[derive(Debug, Default)]
struct ReaderState {
    tid: Option<i32>,
    /// The process that it reads.
    reads: Option<Pid>,
    /// The number of tasks that it has taken.
    taken: u64,
    /// Another thread has its place: it takes no more tasks.
    is_abandoned: bool,
}

impl Readers {
    /// Threads start with the first work.
    pub(crate) fn new(root: Arc<Root>, deadline: Deadline) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            shared: Arc::new(Shared {
                root,
                queue: Mutex::default(),
                has_work: Condvar::new(),
            }),
            threads: Mutex::default(),
            deadline,
            // At least two, as one may be stuck for a while.
            most_at_work: cpus.clamp(2, MOST_AT_WORK),
            is_cut: AtomicBool::new(false),
        }
    }

    pub(crate) fn root(&self) -> &Root {
        &self.shared.root
    }

    /// For tests: reads one process. The error is the reason why its thread was abandoned.
    #[cfg(test)]
    fn one<T: Send + 'static>(
        &self,
        pid: Pid,
        read: impl Fn(&Root, Pid) -> T + Send + Sync + 'static,
    ) -> Result<T, Reason> {
        let mut found = self.each([pid], move |root, pid, slot: &Mutex<Option<T>>| {
            *lock(slot) = Some(read(root, pid));
        });
        match found.remove(&pid) {
            Some(ReadOutcome {
                found: Some(found), ..
            }) => Ok(found),
            Some(ReadOutcome {
                cut: Some(reason), ..
            }) => Err(reason),
            _ => Err(Reason::Gone),
        }
    }

    /// Reads each process, in this order. `read` puts each result into the slot as soon as it has it.
    pub(crate) fn each<T: Default + Send + 'static>(
        &self,
        pids: impl IntoIterator<Item = Pid>,
        read: impl Fn(&Root, Pid, &Mutex<T>) + Send + Sync + 'static,
    ) -> BTreeMap<Pid, ReadOutcome<T>> {
        self.each_until(self.deadline, pids, read)
    }

    /// The same for what comes before the facts that decide: within a share of the time (see [`Deadline::share`]). `read` has
    /// to end at the deadline that it is given.
    pub(crate) fn each_in_share<T: Default + Send + 'static>(
        &self,
        pids: impl IntoIterator<Item = Pid>,
        read: impl Fn(&Root, Pid, Deadline, &Mutex<T>) + Send + Sync + 'static,
    ) -> BTreeMap<Pid, ReadOutcome<T>> {
        let share = self.deadline.share();
        let read = move |root: &Root, pid, slot: &Mutex<T>| read(root, pid, share, slot);
        let found = self.each_until(share, pids, read);
        if share.is_over() {
            self.is_cut.store(true, Ordering::Release);
            self.leave_behind();
        }
        found
    }

    fn each_until<T: Default + Send + 'static>(
        &self,
        until: Deadline,
        pids: impl IntoIterator<Item = Pid>,
        read: impl Fn(&Root, Pid, &Mutex<T>) + Send + Sync + 'static,
    ) -> BTreeMap<Pid, ReadOutcome<T>> {
        let work = Arc::new((read, Remaining::default()));
        let (finished, is_finished) = mpsc::channel();
        let mut slots: BTreeMap<Pid, Arc<Slot<T>>> = BTreeMap::new();
        let mut tasks = VecDeque::new();
        for pid in pids {
            let slot: Arc<Slot<T>> = Arc::default();
            slots.insert(pid, slot.clone());
            let (work, finished) = (work.clone(), finished.clone());
            let task: ReadTask = Box::new(move |root| {
                let (read, remaining) = &*work;
                read(root, pid, &slot.found);
                if slot.settle(None, remaining) {
                    // The receiver is gone if the deadline passed.
                    let _ = finished.send(());
                }
            });
            tasks.push_back((pid, task));
        }
        let remaining = &work.1;
        remaining.0.store(slots.len(), Ordering::Release);
        self.queue().tasks = tasks;
        let mut at_work = self.fill_up(slots.len());
        while at_work > 0 && remaining.0.load(Ordering::Acquire) > 0 && !until.is_over() {
            // One message arrives, when all is done.
            let wait = ROUND.min(until.left());
            if is_finished.recv_timeout(wait).is_ok() {
                break;
            }
            for pid in self.abandon_stuck() {
                if let Some(slot) = slots.get(&pid) {
                    slot.settle(Some(Reason::TimedOut(self.patience())), remaining);
                }
            }
            at_work = self.fill_up(remaining.0.load(Ordering::Acquire));
        }
        self.queue().tasks.clear();
        let rest = if until.is_over() {
            Reason::Late(until.allowed)
        } else {
            Reason::Failed("not read: other processes block all reading threads".into())
        };
        let taken = slots.into_iter().map(|(pid, slot)| {
            if !slot.is_settled.load(Ordering::Acquire) {
                self.is_cut.store(true, Ordering::Release);
            }
            slot.settle(Some(rest.clone()), remaining);
            let cut = lock(&slot.cut).take();
            let found = std::mem::take(&mut *lock(&slot.found));
            (pid, ReadOutcome { found, cut })
        });
        taken.collect()
    }

    /// Whether a process was not read because the time was over, or because all threads were stuck.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Acquire)
    }

    /// The time limit.
    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Gives the places of the threads that still read to others: they end with what they read.
    fn leave_behind(&self) {
        for thread in lock(&self.threads).iter() {
            let mut state = lock(&thread.state);
            state.is_abandoned |= state.reads.is_some();
        }
    }

    /// How long a thread may make no progress before it counts as stuck.
    fn patience(&self) -> Duration {
        self.shared.root.patience().process()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.shared.queue)
    }

    /// Starts threads up to the wanted number, and returns how many are at work. Where no thread can be started, the work is
    /// done here: it may block, but that is better than no result.
    fn fill_up(&self, wanted: usize) -> usize {
        let mut threads = lock(&self.threads);
        let abandoned = threads
            .iter()
            .filter(|thread| lock(&thread.state).is_abandoned)
            .count();
        let mut at_work = threads.len() - abandoned;
        while at_work < self.most_at_work.min(wanted) && abandoned < MOST_STUCK {
            let Ok(thread) = start(self.shared.clone()) else {
                break;
            };
            threads.push(thread);
            at_work += 1;
        }
        if threads.is_empty() {
            let tasks = std::mem::take(&mut self.queue().tasks);
            tasks
                .into_iter()
                .for_each(|(_, task)| task(&self.shared.root));
            return 1;
        }
        self.shared.has_work.notify_all();
        at_work
    }

    /// Abandons the threads that have neither finished a process nor used CPU time for a while, and returns the processes
    /// that they read. A walk of a large memory uses CPU time.
    fn abandon_stuck(&self) -> Vec<Pid> {
        let (now, patience) = (Instant::now(), self.patience());
        let mut stuck = Vec::new();
        for thread in lock(&self.threads).iter_mut() {
            if now.saturating_duration_since(thread.progressed_at) < ROUND {
                continue;
            }
            let (tid, reads, taken) = {
                let state = lock(&thread.state);
                let reads = state.reads.filter(|_| !state.is_abandoned);
                (state.tid, reads, state.taken)
            };
            let Some(pid) = reads else {
                thread.progressed_at = now;
                continue;
            };
            let progress = (taken, tid.and_then(cpu_ticks));
            if progress != thread.progress {
                (thread.progress, thread.progressed_at) = (progress, now);
            } else if now.saturating_duration_since(thread.progressed_at) >= patience {
                let mut state = lock(&thread.state);
                // It may have finished just now.
                if state.taken == taken && state.reads == Some(pid) {
                    state.is_abandoned = true;
                    self.shared.root.give_up(pid);
                    stuck.push(pid);
                }
            }
        }
        stuck
    }
}

impl Drop for Readers {
    /// Ends the threads that wait for work.
    fn drop(&mut self) {
        self.queue().is_closed = true;
        self.shared.has_work.notify_all();
    }
}

/// Locks a mutex, also one that a panic poisoned: no thread leaves a half-written value.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The CPU time of one of this program's threads. It is read from the running system, whatever the pool reads.
fn cpu_ticks(tid: i32) -> Option<u64> {
    let stat = std::fs::read(format!("/proc/self/task/{tid}/stat")).ok()?;
    Some(parse_stat(&stat).ok()?.cpu_ticks)
}

fn start(shared: Arc<Shared>) -> std::io::Result<ReaderThread> {
    let state = Arc::new(Mutex::new(ReaderState::default()));
    let own = state.clone();
    let thread = std::thread::Builder::new().name("reader".into());
    thread.spawn(move || work(&shared, &own))?;
    Ok(ReaderThread {
        state,
        progress: (0, None),
        progressed_at: Instant::now(),
    })
}

fn work(shared: &Shared, state: &Mutex<ReaderState>) {
    lock(state).tid = Some(rustix::thread::gettid().as_raw_nonzero().get());
    while let Some((pid, task)) = next(shared) {
        {
            let mut state = lock(state);
            state.taken += 1;
            state.reads = Some(pid);
        }
        left_behind::name_thread_after(pid);
        task(&shared.root);
        let mut state = lock(state);
        state.reads = None;
        if state.is_abandoned {
            return;
        }
    }
}

/// Waits for the next task; `None` when the pool is closed.
fn next(shared: &Shared) -> Option<(Pid, ReadTask)> {
    let mut queue = lock(&shared.queue);
    loop {
        if let Some(task) = queue.tasks.pop_front() {
            return Some(task);
        }
        if queue.is_closed {
            return None;
        }
        let waited = shared.has_work.wait(queue);
        queue = waited.unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use std::thread::park;

    use super::*;
    use crate::observe::patience::Patience;

    fn readers(allowed: Duration, patience: &str) -> Readers {
        let mut root = Root::live();
        root.set_patience(Patience::from_variable(Some(patience)).unwrap());
        Readers::new(Arc::new(root), Deadline::within(allowed))
    }

    const LONG: Duration = Duration::from_secs(600);

    fn block_for_ever() {
        loop {
            park();
        }
    }

    #[test]
    fn reads_each_process_and_keeps_the_order() {
        let readers = readers(LONG, "300");
        let found = readers.each((1..=1000).map(Pid), |_, pid, slot| *lock(slot) = pid.0 * 2);
        assert!(found.values().all(|found| found.cut.is_none()));
        let found: Vec<_> = found
            .into_iter()
            .map(|(pid, found)| (pid.0, found.found))
            .collect();
        assert_eq!(
            found,
            (1..=1000).map(|pid| (pid, pid * 2)).collect::<Vec<_>>()
        );
        assert_eq!(readers.one(Pid(7), |_, pid| pid), Ok(Pid(7)));
    }

    #[test]
    fn abandons_a_stuck_thread_and_keeps_its_partial_result() {
        // Three are stuck, and at least two threads read: at least one takes the place of another.
        let readers = readers(LONG, "2");
        let patience = readers.patience();
        let found = readers.each((1..=100).map(Pid), |_, pid, slot: &Mutex<Vec<&str>>| {
            lock(slot).push("first");
            if pid.0 % 30 == 0 {
                block_for_ever();
            }
            lock(slot).push("second");
        });
        assert_eq!(found.len(), 100);
        for (pid, found) in found {
            match pid.0 % 30 {
                0 => {
                    assert_eq!(found.cut, Some(Reason::TimedOut(patience)), "{pid}");
                    assert_eq!(found.found, ["first"], "{pid}");
                }
                _ => assert_eq!((found.cut, found.found.len()), (None, 2), "{pid}"),
            }
        }
    }

    #[test]
    fn a_thread_that_uses_cpu_time_is_not_stuck() {
        let readers = readers(LONG, "1");
        let long = readers.patience() * 3 / 2;
        let found = readers.one(Pid(1), move |_, _| {
            let start = Instant::now();
            let mut turns = 0_u64;
            while start.elapsed() < long {
                turns = std::hint::black_box(turns + 1);
            }
            turns
        });
        assert!(found.is_ok(), "{found:?}");
    }

    #[test]
    fn nothing_is_waited_for_after_the_deadline() {
        let whole = Duration::from_millis(300);
        let readers = readers(whole, "300");
        let found = readers.each((1..=100).map(Pid), |_, _, _: &Mutex<()>| block_for_ever());
        assert_eq!(found.len(), 100);
        for found in found.values() {
            assert_eq!(found.cut, Some(Reason::Late(whole)));
        }
    }
}
