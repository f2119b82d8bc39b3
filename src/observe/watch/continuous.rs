//! Windows that follow each other without a hole between them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::machine::{Gaps, Window};
use crate::observe::nodes;
use crate::observe::source::Source;
use crate::observe::watch::Sampler;
use crate::observe::watch::sampler::{MachineCounters, MigratedPages};
use crate::observe::watch::window::own_cpu_time;
use crate::units::Pid;

/// The least time between two rounds: a screen that changes every second or two shows no more.
const STEP: Duration = Duration::from_millis(250);

/// The most rounds in a window of the length that is asked for.
const MOST_ROUNDS: u32 = 40;

/// The time between two rounds is at least this multiple of the CPU time of the first. So a screen that is open all day takes at most
/// a hundredth of one CPU for them, for every number of threads.
const REST_FACTOR: u32 = 100;

/// A shorter window shows nothing.
const SHORTEST: Duration = Duration::from_millis(100);

/// Samples processes again and again. It reads `stat` of their threads only, which no process can block.
#[derive(Debug)]
pub(crate) struct Continuous {
    sampler: Sampler,
    /// The length that a window is meant to have.
    asked: Duration,
    began: WindowStart,
    rounds: usize,
    next: Instant,
}

/// The state at the start of a window.
#[derive(Debug)]
struct WindowStart {
    at: Instant,
    counters: MachineCounters,
    pages: MigratedPages,
}

impl Continuous {
    /// Windows that are meant to be `asked` long. Without a process, until [`Continuous::follow`].
    pub(crate) fn new(source: &Source, asked: Duration) -> Self {
        let topology = nodes::read_topology(&source.root, &mut Gaps::default());
        let sampler = Sampler::new(source.root.clone(), topology.into(), BTreeMap::new());
        let began = WindowStart::now(&sampler);
        Self {
            sampler,
            asked,
            began,
            rounds: 0,
            next: Instant::now(),
        }
    }

    /// Samples the processes with these start times from now on, and no others.
    pub(crate) fn follow(&mut self, pids: &BTreeMap<Pid, u64>) {
        let had_processes = self.sampler.has_processes();
        self.sampler.follow(pids);
        if !had_processes && self.sampler.has_processes() {
            self.begin();
        }
    }

    /// Begins a window now, and forgets what was sampled: the last question was too long ago.
    pub(crate) fn begin(&mut self) {
        self.round();
        self.sampler
            .take(&MigratedPages::new(), &MigratedPages::new());
        self.began = WindowStart::now(&self.sampler);
        self.rounds = 1;
    }

    /// When the next round is due; `None` where there is no process to sample.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.sampler.has_processes().then_some(self.next)
    }

    /// Reads the threads of all processes once.
    pub(crate) fn round(&mut self) {
        let (began, used) = (Instant::now(), own_cpu_time());
        self.sampler.run_round();
        self.rounds += 1;
        let rest = own_cpu_time().saturating_sub(used) * REST_FACTOR;
        self.next = began + STEP.max(self.asked / MOST_ROUNDS).max(rest);
    }

    /// The window since the last call. `None` where nothing was sampled.
    pub(crate) fn take(&mut self) -> Option<Window> {
        if !self.sampler.has_processes() || self.began.at.elapsed() < SHORTEST {
            return None;
        }
        self.round();
        let now = WindowStart::now(&self.sampler);
        let before = std::mem::replace(&mut self.began, now);
        let now = &self.began;
        Some(Window {
            asked: self.asked,
            length: now.at.saturating_duration_since(before.at),
            // The round at the start belongs to both windows.
            looks: std::mem::replace(&mut self.rounds, 1),
            node_counters: before.counters.nodes_until(&now.counters),
            vmstat: before.counters.machine_until(&now.counters),
            gaps: self.sampler.gaps(),
            processes: self.sampler.take(&before.pages, &now.pages),
        })
    }
}

impl WindowStart {
    fn now(sampler: &Sampler) -> Self {
        Self {
            at: Instant::now(),
            counters: sampler.counters(),
            pages: match sampler.is_balancing() {
                true => sampler.pages_migrated(),
                false => MigratedPages::new(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::process::read_stats;

    #[test]
    fn each_window_has_the_time_since_the_last_one() {
        let source = Source::live(None);
        let own = Pid(std::process::id());
        let stats = read_stats(&source.root).unwrap();
        let start = stats[&own].as_ref().unwrap().start_time_ticks;
        let mut continuous = Continuous::new(&source, STEP);
        assert!(continuous.take().is_none() && continuous.next().is_none());
        let (began, used) = (Instant::now(), thread_cpu_time());
        continuous.follow(&BTreeMap::from([(own, start)]));
        let own_thread = rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let (mut spent, mut length) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..2 {
            let step = thread_cpu_time();
            while thread_cpu_time() - step < SHORTEST {}
            continuous.round();
            let window = continuous.take().unwrap();
            assert_eq!(window.looks, 3);
            length += window.length;
            spent += window.processes[&own].threads[&own_thread].cpu_time.total();
        }
        assert!(length >= 2 * SHORTEST && length <= began.elapsed());
        // The kernel counts in steps of 10 ms.
        let step = Duration::from_millis(20);
        assert!(spent + step >= 2 * SHORTEST, "{spent:?}");
        let all = thread_cpu_time() - used + step;
        assert!(spent <= all, "{spent:?} of {all:?}");
    }

    /// The tests beside this one use CPU time too, in other threads.
    fn thread_cpu_time() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::try_from(time).unwrap()
    }
}
