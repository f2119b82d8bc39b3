//! Adds up what looks at threads tell: their CPU time by node, and who moved.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::machine::window::{CpuTime, ProcessActivity, ThreadActivity};
use crate::units::{NodeId, Pid};

/// A thread as a look found it.
#[derive(Debug, Clone, Copy)]
pub struct ThreadSample {
    pub tid: u32,
    pub start_time_ticks: u64,
    /// The node of the CPU that it is on, or was on last. `None` where that is not known.
    pub node: Option<NodeId>,
    /// All CPU time that it has used since it started.
    pub cpu_ticks: u64,
}

/// The clock that these ticks are of.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// When the window began, in ticks after boot. A thread that started later has spent all its CPU time in the window.
    pub began: u64,
    pub ticks_per_second: u64,
}

/// One process in the making.
#[derive(Debug)]
pub struct Tally {
    clock: Clock,
    start_time_ticks: u64,
    threads: BTreeMap<u32, ThreadTally>,
    /// What those had spent that are no more.
    ended: CpuTime,
    migrations: u64,
    moved_and_ended: usize,
}

#[derive(Debug)]
struct ThreadTally {
    last: ThreadSample,
    cpu_time: CpuTime,
    has_moved: bool,
}

impl Tally {
    /// Of the process that started then.
    pub fn new(clock: Clock, start_time_ticks: u64) -> Self {
        Self {
            clock,
            start_time_ticks,
            threads: BTreeMap::new(),
            ended: CpuTime::default(),
            migrations: 0,
            moved_and_ended: 0,
        }
    }

    /// Whether this is still the process, and not another one that got its number.
    pub fn is_of(&self, start_time_ticks: u64) -> bool {
        self.start_time_ticks == start_time_ticks
    }

    /// Takes in one look at its threads. Those of the look before that are not among them have ended.
    pub fn look(&mut self, threads: &[ThreadSample]) {
        let mut before = std::mem::take(&mut self.threads);
        for seen in threads {
            let known = before.remove(&seen.tid);
            let is_same =
                |known: &ThreadTally| known.last.start_time_ticks == seen.start_time_ticks;
            let thread = match known {
                Some(known) if is_same(&known) => self.again(known, *seen),
                other => {
                    other.into_iter().for_each(|ended| self.end(ended));
                    self.first(*seen)
                }
            };
            self.threads.insert(seen.tid, thread);
        }
        before.into_values().for_each(|ended| self.end(ended));
    }

    fn first(&self, seen: ThreadSample) -> ThreadTally {
        let mut cpu_time = CpuTime::default();
        if let Some(node) = seen
            .node
            .filter(|_| seen.start_time_ticks >= self.clock.began)
        {
            cpu_time.add(node, self.time(seen.cpu_ticks));
        }
        ThreadTally {
            last: seen,
            cpu_time,
            has_moved: false,
        }
    }

    fn again(&mut self, mut thread: ThreadTally, seen: ThreadSample) -> ThreadTally {
        let used = seen.cpu_ticks.saturating_sub(thread.last.cpu_ticks);
        if let Some(node) = seen.node {
            thread.cpu_time.add(node, self.time(used));
            if used > 0 && thread.last.node.is_some_and(|before| before != node) {
                self.migrations += 1;
                thread.has_moved = true;
            }
        }
        thread.last = seen;
        thread
    }

    fn end(&mut self, thread: ThreadTally) {
        self.ended.add_all(&thread.cpu_time);
        self.moved_and_ended += usize::from(thread.has_moved);
    }

    fn time(&self, ticks: u64) -> Duration {
        let per_second = self.clock.ticks_per_second.max(1);
        let nanos = (ticks % per_second).saturating_mul(1_000_000_000) / per_second;
        Duration::from_secs(ticks / per_second).saturating_add(Duration::from_nanos(nanos))
    }

    /// The sum.
    pub fn finish(self, pages_migrated: Option<u64>) -> ProcessActivity {
        let mut cpu_time = self.ended;
        let mut threads_moved = self.moved_and_ended;
        for thread in self.threads.values() {
            cpu_time.add_all(&thread.cpu_time);
            threads_moved += usize::from(thread.has_moved);
        }
        let threads = self.threads.into_iter().map(|(tid, thread)| {
            let watched = ThreadActivity {
                start_time_ticks: thread.last.start_time_ticks,
                cpu_time: thread.cpu_time,
            };
            (tid, watched)
        });
        ProcessActivity {
            start_time_ticks: self.start_time_ticks,
            cpu_time,
            migrations: self.migrations,
            threads_moved,
            threads: threads.collect(),
            pages_migrated,
        }
    }
}

/// The processes that are watched.
pub type Tallies = BTreeMap<Pid, Tally>;

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock {
        began: 1000,
        ticks_per_second: 100,
    };

    fn seen(tid: u32, start: u64, node: u32, cpu_ticks: u64) -> ThreadSample {
        ThreadSample {
            tid,
            start_time_ticks: start,
            node: Some(NodeId(node)),
            cpu_ticks,
        }
    }

    fn tally(looks: &[&[ThreadSample]]) -> ProcessActivity {
        let mut tally = Tally::new(CLOCK, 5);
        looks.iter().for_each(|threads| tally.look(threads));
        tally.finish(None)
    }

    fn ticks(cpu_time: &CpuTime) -> Vec<(u32, u64)> {
        let by_node = cpu_time.iter();
        by_node
            .map(|(node, time)| (node.0, time.as_millis() as u64 / 10))
            .collect()
    }

    #[test]
    fn what_was_spent_before_the_window_does_not_count() {
        let watched = tally(&[&[seen(1, 5, 0, 700)], &[seen(1, 5, 0, 730)]]);
        assert_eq!(ticks(&watched.cpu_time), [(0, 30)]);
        assert_eq!((watched.migrations, watched.threads_moved), (0, 0));
    }

    #[test]
    fn one_that_runs_elsewhere_has_moved() {
        let looks: [&[ThreadSample]; 4] = [
            &[seen(1, 5, 0, 700)],
            &[seen(1, 5, 1, 710)],
            &[seen(1, 5, 0, 715)],
            &[seen(1, 5, 0, 730)],
        ];
        let watched = tally(&looks);
        assert_eq!(ticks(&watched.cpu_time), [(0, 20), (1, 10)]);
        assert_eq!((watched.migrations, watched.threads_moved), (2, 1));
        assert_eq!(ticks(&watched.threads[&1].cpu_time), [(0, 20), (1, 10)]);
    }

    #[test]
    fn one_that_did_nothing_has_not() {
        let watched = tally(&[&[seen(1, 5, 0, 700)], &[seen(1, 5, 1, 700)]]);
        assert!(watched.cpu_time.is_none());
        assert_eq!(watched.migrations, 0);
    }

    #[test]
    fn threads_that_start_and_end_meanwhile() {
        let looks: [&[ThreadSample]; 3] = [
            &[seen(1, 5, 0, 700)],
            &[seen(1, 5, 0, 710), seen(2, 1005, 1, 4)],
            &[seen(1, 5, 0, 720)],
        ];
        let watched = tally(&looks);
        assert_eq!(ticks(&watched.cpu_time), [(0, 20), (1, 4)]);
        assert_eq!(watched.threads.len(), 1);
        // An old one that was not looked at before brings nothing from then.
        let late = tally(&[&[], &[seen(1, 5, 0, 700)], &[seen(1, 5, 0, 701)]]);
        assert_eq!(ticks(&late.cpu_time), [(0, 1)]);
    }

    #[test]
    fn a_number_that_another_thread_got() {
        let looks: [&[ThreadSample]; 3] = [
            &[seen(2, 5, 0, 700)],
            &[seen(2, 5, 1, 720)],
            &[seen(2, 1007, 0, 3)],
        ];
        let watched = tally(&looks);
        assert_eq!(ticks(&watched.cpu_time), [(0, 3), (1, 20)]);
        assert_eq!((watched.migrations, watched.threads_moved), (1, 1));
        assert_eq!(ticks(&watched.threads[&2].cpu_time), [(0, 3)]);
    }

    #[test]
    fn a_node_that_is_not_known_is_none() {
        let nowhere = ThreadSample {
            node: None,
            ..seen(1, 5, 0, 710)
        };
        let watched = tally(&[&[seen(1, 5, 0, 700)], &[nowhere], &[seen(1, 5, 1, 720)]]);
        assert_eq!(ticks(&watched.cpu_time), [(1, 10)]);
        assert_eq!(watched.migrations, 0);
    }

    #[test]
    fn absurd_counters_do_no_harm() {
        let looks: [&[ThreadSample]; 2] = [&[seen(1, 2000, 0, u64::MAX)], &[seen(1, 2000, 0, 0)]];
        let watched = tally(&looks);
        assert_eq!(watched.cpu_time.total().as_secs(), u64::MAX / 100);
        let mut tally = Tally::new(
            Clock {
                ticks_per_second: 0,
                ..CLOCK
            },
            5,
        );
        tally.look(&[seen(1, 2000, 0, 7)]);
        assert_eq!(tally.finish(None).cpu_time.total().as_secs(), 7);
    }
}
