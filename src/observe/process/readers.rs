//! Reads of processes, on a few threads, none of which is waited for without end.
//!
//! A process that is stuck with its memory locked keeps whoever reads of it waiting. Nothing can call such a reader off, so
//! he is left behind: what he had found stands, another thread takes his place, and the program's end ends him too, as he
//! waits where the kernel lets a thread be killed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use procfs::process::Process as Own;

use crate::machine::gap::Reason;
use crate::observe::root::Root;
use crate::units::Pid;

/// How many read at once. More would wait for the same locks within the kernel.
const MOST_AT_WORK: usize = 4;
/// How many may be stuck before nobody takes their place.
const MOST_STUCK: usize = 64;
/// How often it is looked whether one is stuck.
const ROUND: Duration = Duration::from_millis(250);

/// When a look at a machine has to be over.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The moment itself.
    pub at: Instant,
    /// What was allowed.
    pub whole: Duration,
}

impl Deadline {
    /// From now on.
    pub fn within(whole: Duration) -> Self {
        // A time beyond all clocks is none.
        let far = || Instant::now() + Duration::from_secs(1 << 30);
        Self {
            at: Instant::now().checked_add(whole).unwrap_or_else(far),
            whole,
        }
    }

    /// What is left.
    pub fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether it has passed.
    pub fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

/// The threads that read.
#[derive(Debug)]
pub struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<Watched>>,
    deadline: Deadline,
    at_work: usize,
}

/// What was found of a process, as far as it was.
#[derive(Debug)]
pub struct Found<T> {
    /// All of it, or what there was when its reader was left behind.
    pub found: T,
    /// Why it is not all.
    pub cut: Option<Reason>,
}

/// Where what is found of one process is put.
#[derive(Debug, Default)]
struct Slot<T> {
    found: Mutex<T>,
    cut: Mutex<Option<Reason>>,
    is_settled: AtomicBool,
}

/// How many processes are not settled.
#[derive(Debug, Default)]
struct Remaining(AtomicUsize);

impl<T> Slot<T> {
    /// Says that nothing more is waited for, and why, unless that was said. Tells whether this was the last.
    fn settle(&self, cut: Option<Reason>, remaining: &Remaining) -> bool {
        if self.is_settled.swap(true, Ordering::AcqRel) {
            return false;
        }
        *lock(&self.cut) = cut;
        remaining.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

type Task = Box<dyn FnOnce(&Root) + Send>;

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
    tasks: VecDeque<(Pid, Task)>,
    is_closed: bool,
}

/// One thread, as the others see it.
#[derive(Debug)]
struct Watched {
    state: Arc<Mutex<State>>,
    /// What it was at when it was last seen to get on.
    seen: (u64, Option<u64>),
    got_on: Instant,
}

#[derive(Debug, Default)]
struct State {
    tid: Option<i32>,
    /// Of whom it reads.
    reads: Option<Pid>,
    /// How many it has taken on.
    taken: u64,
    /// It shall take no more: another one has its place.
    is_left_behind: bool,
}

impl Readers {
    /// None is at work before there is work.
    pub fn new(root: Arc<Root>, deadline: Deadline) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            shared: Arc::new(Shared {
                root,
                queue: Mutex::default(),
                has_work: Condvar::new(),
            }),
            threads: Mutex::default(),
            deadline,
            // One may be stuck for a while.
            at_work: cpus.clamp(2, MOST_AT_WORK),
        }
    }

    /// Where they read.
    pub fn root(&self) -> &Root {
        &self.shared.root
    }

    /// Reads of one process.
    ///
    /// # Errors
    /// Why its reader was left behind.
    pub fn one<T: Send + 'static>(
        &self,
        pid: Pid,
        read: impl Fn(&Root, Pid) -> T + Send + Sync + 'static,
    ) -> Result<T, Reason> {
        let mut found = self.each([pid], move |root, pid, slot: &Mutex<Option<T>>| {
            *lock(slot) = Some(read(root, pid));
        });
        match found.remove(&pid) {
            Some(Found {
                found: Some(found), ..
            }) => Ok(found),
            Some(Found {
                cut: Some(reason), ..
            }) => Err(reason),
            _ => Err(Reason::Gone),
        }
    }

    /// Reads of each process. `read` puts into the slot what it finds when it finds it.
    pub fn each<T: Default + Send + 'static>(
        &self,
        pids: impl IntoIterator<Item = Pid>,
        read: impl Fn(&Root, Pid, &Mutex<T>) + Send + Sync + 'static,
    ) -> BTreeMap<Pid, Found<T>> {
        let work = Arc::new((read, Remaining::default()));
        let (finished, is_finished) = mpsc::channel();
        let mut slots: BTreeMap<Pid, Arc<Slot<T>>> = BTreeMap::new();
        let mut tasks = VecDeque::new();
        for pid in pids {
            let slot: Arc<Slot<T>> = Arc::default();
            slots.insert(pid, slot.clone());
            let (work, finished) = (work.clone(), finished.clone());
            let task: Task = Box::new(move |root| {
                let (read, remaining) = &*work;
                read(root, pid, &slot.found);
                if slot.settle(None, remaining) {
                    // Nobody listens any more if it took too long.
                    let _ = finished.send(());
                }
            });
            tasks.push_back((pid, task));
        }
        let remaining = &work.1;
        remaining.0.store(slots.len(), Ordering::Release);
        self.queue().tasks = tasks;
        let mut at_work = self.fill_up(slots.len());
        while at_work > 0 && remaining.0.load(Ordering::Acquire) > 0 && !self.deadline.is_over() {
            // One message comes when all is done.
            let wait = ROUND.min(self.deadline.left());
            if is_finished.recv_timeout(wait).is_ok() {
                break;
            }
            for pid in self.leave_stuck_behind() {
                if let Some(slot) = slots.get(&pid) {
                    slot.settle(Some(Reason::TimedOut(self.patience())), remaining);
                }
            }
            at_work = self.fill_up(remaining.0.load(Ordering::Acquire));
        }
        self.queue().tasks.clear();
        let taken = slots.into_iter().map(|(pid, slot)| {
            // The time is over, or all threads there may be are stuck.
            slot.settle(Some(Reason::Late(self.deadline.whole)), remaining);
            let cut = lock(&slot.cut).take();
            let found = std::mem::take(&mut *lock(&slot.found));
            (pid, Found { found, cut })
        });
        taken.collect()
    }

    fn patience(&self) -> Duration {
        self.shared.root.patience().process()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.shared.queue)
    }

    /// Has as many at work as there shall be, and tells how many there are. Where no thread can be had at all, the work is
    /// done here: waiting is better than seeing nothing.
    fn fill_up(&self, wanted: usize) -> usize {
        let mut threads = lock(&self.threads);
        let stuck = |threads: &[Watched]| {
            let states = threads
                .iter()
                .map(|thread| lock(&thread.state).is_left_behind);
            states.filter(|is_left_behind| *is_left_behind).count()
        };
        let left_behind = stuck(&threads);
        let mut there = threads.len() - left_behind;
        while there < self.at_work.min(wanted) && left_behind < MOST_STUCK {
            let Ok(thread) = start(self.shared.clone()) else {
                break;
            };
            threads.push(thread);
            there += 1;
        }
        if threads.is_empty() {
            let tasks = std::mem::take(&mut self.queue().tasks);
            tasks
                .into_iter()
                .for_each(|(_, task)| task(&self.shared.root));
            return 1;
        }
        self.shared.has_work.notify_all();
        there
    }

    /// Takes note of those that are stuck: they have neither come to an end with a process for a while nor used any CPU
    /// time, which walking a large memory does.
    fn leave_stuck_behind(&self) -> Vec<Pid> {
        let (now, patience) = (Instant::now(), self.patience());
        let mut stuck = Vec::new();
        for thread in lock(&self.threads).iter_mut() {
            if now.saturating_duration_since(thread.got_on) < ROUND {
                continue;
            }
            let (tid, reads, taken) = {
                let state = lock(&thread.state);
                let reads = state.reads.filter(|_| !state.is_left_behind);
                (state.tid, reads, state.taken)
            };
            let Some(pid) = reads else {
                thread.got_on = now;
                continue;
            };
            let seen = (taken, tid.and_then(cpu_time));
            if seen != thread.seen {
                (thread.seen, thread.got_on) = (seen, now);
            } else if now.saturating_duration_since(thread.got_on) >= patience {
                let mut state = lock(&thread.state);
                // It may have come to its end just now.
                if state.taken == taken && state.reads == Some(pid) {
                    state.is_left_behind = true;
                    self.shared.root.give_up(pid);
                    stuck.push(pid);
                }
            }
        }
        stuck
    }
}

impl Drop for Readers {
    /// Who waits for work ends.
    fn drop(&mut self) {
        self.queue().is_closed = true;
        self.shared.has_work.notify_all();
    }
}

/// What a mutex holds; it is whole wherever a thread ended.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The CPU time of one of this program's threads, in clock ticks.
fn cpu_time(tid: i32) -> Option<u64> {
    let stat = Own::myself().ok()?.task_from_tid(tid).ok()?.stat().ok()?;
    Some(stat.utime + stat.stime)
}

fn start(shared: Arc<Shared>) -> std::io::Result<Watched> {
    let state = Arc::new(Mutex::new(State::default()));
    let own = state.clone();
    let thread = std::thread::Builder::new().name("reader".into());
    thread.spawn(move || work(&shared, &own))?;
    Ok(Watched {
        state,
        seen: (0, None),
        got_on: Instant::now(),
    })
}

fn work(shared: &Shared, state: &Mutex<State>) {
    lock(state).tid = Some(rustix::thread::gettid().as_raw_nonzero().get());
    while let Some((pid, task)) = next(shared) {
        {
            let mut state = lock(state);
            state.taken += 1;
            state.reads = Some(pid);
        }
        task(&shared.root);
        let mut state = lock(state);
        state.reads = None;
        if state.is_left_behind {
            return;
        }
    }
}

/// Waits for work. `None` when there will be no more.
fn next(shared: &Shared) -> Option<(Pid, Task)> {
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

    fn readers(whole: Duration, patience: &str) -> Readers {
        let mut root = Root::live();
        root.set_patience(Patience::from_variable(Some(patience)).unwrap());
        Readers::new(Arc::new(root), Deadline::within(whole))
    }

    const LONG: Duration = Duration::from_secs(600);

    fn for_ever() {
        loop {
            park();
        }
    }

    #[test]
    fn each_process_is_read_once() {
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
    fn a_stuck_reader_is_left_behind_and_what_it_found_is_kept() {
        // Three are stuck, and at least two threads read: at least one takes the place of another.
        let readers = readers(LONG, "2");
        let patience = readers.patience();
        let found = readers.each((1..=100).map(Pid), |_, pid, slot: &Mutex<Vec<&str>>| {
            lock(slot).push("first");
            if pid.0 % 30 == 0 {
                for_ever();
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
    fn a_reader_that_uses_cpu_time_is_not_stuck() {
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
        let found = readers.each((1..=100).map(Pid), |_, _, _: &Mutex<()>| for_ever());
        assert_eq!(found.len(), 100);
        for found in found.values() {
            assert_eq!(found.cut, Some(Reason::Late(whole)));
        }
    }
}
