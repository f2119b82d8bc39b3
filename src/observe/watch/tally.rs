//! Sums up samples of threads: CPU time by node, and migrations.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::machine::{CpuTime, ProcessActivity, ThreadActivity};
use crate::units::{NodeId, Pid};

/// The state of a thread at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ThreadSample {
    pub(crate) tid: u32,
    pub(crate) start_time_ticks: u64,
    /// The node of the CPU on which it runs, or last ran. `None` where it is unknown.
    pub(crate) node: Option<NodeId>,
    /// Its CPU time since its start.
    pub(crate) cpu_ticks: u64,
}

/// The clock of these ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// The start of the window, in ticks after boot. A thread that started later used all its CPU time in the window.
    pub(crate) began: u64,
    pub(crate) ticks_per_second: u64,
}

/// The sums of one process.
#[derive(Debug)]
pub(crate) struct Tally {
    clock: Clock,
    start_time_ticks: u64,
    threads: BTreeMap<u32, ThreadTally>,
    /// The CPU time of threads that have ended.
    ended: CpuTime,
    migrations: u64,
    moved_and_ended: usize,
}

#[derive(Debug)]
struct ThreadTally {
    last: ThreadSample,
    cpu_time: CpuTime,
    migrations: u64,
}

impl Tally {
    /// Sums for the process with this start time.
    pub(crate) fn new(clock: Clock, start_time_ticks: u64) -> Self {
        Self {
            clock,
            start_time_ticks,
            threads: BTreeMap::new(),
            ended: CpuTime::default(),
            migrations: 0,
            moved_and_ended: 0,
        }
    }

    /// Whether this is the same process, and not a later one with the same PID.
    pub(crate) fn is_of(&self, start_time_ticks: u64) -> bool {
        self.start_time_ticks == start_time_ticks
    }

    /// Adds one sample of each of its threads. Threads of the previous samples that are missing have ended.
    pub(crate) fn add(&mut self, threads: &[ThreadSample]) {
        let mut before = std::mem::take(&mut self.threads);
        for sample in threads {
            let known = before.remove(&sample.tid);
            let is_same =
                |known: &ThreadTally| known.last.start_time_ticks == sample.start_time_ticks;
            let thread = match known {
                Some(known) if is_same(&known) => self.next(known, *sample),
                other => {
                    other.into_iter().for_each(|ended| self.end(ended));
                    self.first(*sample)
                }
            };
            self.threads.insert(sample.tid, thread);
        }
        before.into_values().for_each(|ended| self.end(ended));
    }

    fn first(&self, sample: ThreadSample) -> ThreadTally {
        let mut cpu_time = CpuTime::default();
        if let Some(node) = sample
            .node
            .filter(|_| sample.start_time_ticks >= self.clock.began)
        {
            cpu_time.add(node, self.time(sample.cpu_ticks));
        }
        ThreadTally {
            last: sample,
            cpu_time,
            migrations: 0,
        }
    }

    fn next(&mut self, mut thread: ThreadTally, sample: ThreadSample) -> ThreadTally {
        let used = sample.cpu_ticks.saturating_sub(thread.last.cpu_ticks);
        if let Some(node) = sample.node {
            thread.cpu_time.add(node, self.time(used));
            if used > 0 && thread.last.node.is_some_and(|before| before != node) {
                self.migrations += 1;
                thread.migrations += 1;
            }
        }
        thread.last = sample;
        thread
    }

    fn end(&mut self, thread: ThreadTally) {
        self.ended.add_all(&thread.cpu_time);
        self.moved_and_ended += usize::from(thread.migrations > 0);
    }

    fn time(&self, ticks: u64) -> Duration {
        let per_second = self.clock.ticks_per_second.max(1);
        let nanos = (ticks % per_second).saturating_mul(1_000_000_000) / per_second;
        Duration::from_secs(ticks / per_second).saturating_add(Duration::from_nanos(nanos))
    }

    /// The activity since the start of the window. The next window begins at `next`.
    pub(crate) fn take(&mut self, pages_migrated: Option<u64>, next: Clock) -> ProcessActivity {
        let mut cpu_time = std::mem::take(&mut self.ended);
        let mut threads_moved = std::mem::take(&mut self.moved_and_ended);
        let threads = self.threads.iter_mut().map(|(tid, thread)| {
            let activity = ThreadActivity {
                start_time_ticks: thread.last.start_time_ticks,
                cpu_time: std::mem::take(&mut thread.cpu_time),
                migrations: std::mem::take(&mut thread.migrations),
            };
            cpu_time.add_all(&activity.cpu_time);
            threads_moved += usize::from(activity.migrations > 0);
            (*tid, activity)
        });
        let threads = threads.collect();
        self.clock = next;
        ProcessActivity {
            start_time_ticks: self.start_time_ticks,
            cpu_time,
            migrations: std::mem::take(&mut self.migrations),
            threads_moved,
            threads,
            pages_migrated,
        }
    }
}

/// The observed processes.
pub(crate) type Tallies = BTreeMap<Pid, Tally>;

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: Clock = Clock {
        began: 1000,
        ticks_per_second: 100,
    };

    fn sample(tid: u32, start: u64, node: u32, cpu_ticks: u64) -> ThreadSample {
        ThreadSample {
            tid,
            start_time_ticks: start,
            node: Some(NodeId(node)),
            cpu_ticks,
        }
    }

    fn tally(samples: &[&[ThreadSample]]) -> ProcessActivity {
        let mut tally = Tally::new(CLOCK, 5);
        samples.iter().for_each(|threads| tally.add(threads));
        tally.take(None, CLOCK)
    }

    fn ticks(cpu_time: &CpuTime) -> Vec<(u32, u64)> {
        let by_node = cpu_time.iter();
        by_node
            .map(|(node, time)| (node.0, time.as_millis() as u64 / 10))
            .collect()
    }

    #[test]
    fn cpu_time_before_the_window_does_not_count() {
        let activity = tally(&[&[sample(1, 5, 0, 700)], &[sample(1, 5, 0, 730)]]);
        assert_eq!(ticks(&activity.cpu_time), [(0, 30)]);
        assert_eq!((activity.migrations, activity.threads_moved), (0, 0));
    }

    #[test]
    fn a_thread_that_runs_on_another_node_has_migrated() {
        let samples: [&[ThreadSample]; 4] = [
            &[sample(1, 5, 0, 700)],
            &[sample(1, 5, 1, 710)],
            &[sample(1, 5, 0, 715)],
            &[sample(1, 5, 0, 730)],
        ];
        let activity = tally(&samples);
        assert_eq!(ticks(&activity.cpu_time), [(0, 20), (1, 10)]);
        assert_eq!((activity.migrations, activity.threads_moved), (2, 1));
        assert_eq!(ticks(&activity.threads[&1].cpu_time), [(0, 20), (1, 10)]);
    }

    #[test]
    fn a_thread_that_used_no_cpu_time_has_not_migrated() {
        let activity = tally(&[&[sample(1, 5, 0, 700)], &[sample(1, 5, 1, 700)]]);
        assert!(activity.cpu_time.is_none());
        assert_eq!(activity.migrations, 0);
    }

    #[test]
    fn threads_that_start_and_end_in_the_window_count() {
        let samples: [&[ThreadSample]; 3] = [
            &[sample(1, 5, 0, 700)],
            &[sample(1, 5, 0, 710), sample(2, 1005, 1, 4)],
            &[sample(1, 5, 0, 720)],
        ];
        let activity = tally(&samples);
        assert_eq!(ticks(&activity.cpu_time), [(0, 20), (1, 4)]);
        assert_eq!(activity.threads.len(), 1);
        // An old thread that is first sampled late brings no earlier CPU time.
        let late = tally(&[&[], &[sample(1, 5, 0, 700)], &[sample(1, 5, 0, 701)]]);
        assert_eq!(ticks(&late.cpu_time), [(0, 1)]);
    }

    #[test]
    fn a_tid_that_is_used_again_is_another_thread() {
        let samples: [&[ThreadSample]; 3] = [
            &[sample(2, 5, 0, 700)],
            &[sample(2, 5, 1, 720)],
            &[sample(2, 1007, 0, 3)],
        ];
        let activity = tally(&samples);
        assert_eq!(ticks(&activity.cpu_time), [(0, 3), (1, 20)]);
        assert_eq!((activity.migrations, activity.threads_moved), (1, 1));
        assert_eq!(ticks(&activity.threads[&2].cpu_time), [(0, 3)]);
    }

    #[test]
    fn windows_follow_each_other_without_a_hole() {
        let mut tally = Tally::new(CLOCK, 5);
        tally.add(&[sample(1, 5, 0, 700)]);
        tally.add(&[sample(1, 5, 1, 710)]);
        let next = Clock {
            began: 2000,
            ..CLOCK
        };
        let first = tally.take(None, next);
        assert_eq!(ticks(&first.cpu_time), [(1, 10)]);
        assert_eq!(first.threads[&1].migrations, 1);
        // The node and the CPU time of the last sample are those that the next one is compared with.
        tally.add(&[sample(1, 5, 0, 725), sample(2, 1990, 0, 3)]);
        let second = tally.take(None, next);
        assert_eq!(ticks(&second.cpu_time), [(0, 15)]);
        assert_eq!((second.migrations, second.threads_moved), (1, 1));
        let third = tally.take(None, next);
        assert!(third.cpu_time.is_none());
        assert_eq!((third.migrations, third.threads_moved), (0, 0));
    }

    #[test]
    fn an_unknown_node_gets_no_cpu_time() {
        let nowhere = ThreadSample {
            node: None,
            ..sample(1, 5, 0, 710)
        };
        let activity = tally(&[&[sample(1, 5, 0, 700)], &[nowhere], &[sample(1, 5, 1, 720)]]);
        assert_eq!(ticks(&activity.cpu_time), [(1, 10)]);
        assert_eq!(activity.migrations, 0);
    }

    #[test]
    fn impossible_counters_do_no_harm() {
        let samples: [&[ThreadSample]; 2] =
            [&[sample(1, 2000, 0, u64::MAX)], &[sample(1, 2000, 0, 0)]];
        let activity = tally(&samples);
        assert_eq!(activity.cpu_time.total().as_secs(), u64::MAX / 100);
        let mut tally = Tally::new(
            Clock {
                ticks_per_second: 0,
                ..CLOCK
            },
            5,
        );
        tally.add(&[sample(1, 2000, 0, 7)]);
        assert_eq!(tally.take(None, CLOCK).cpu_time.total().as_secs(), 7);
    }
}
