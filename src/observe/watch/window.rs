//! Samples the threads of the relevant processes again and again.
//!
//! A round reads only `stat` of these threads: a few microseconds for each. What costs the processes more, their memory above
//! all, is read once, by the observation that follows.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use rustix::time::ClockId;

use crate::machine::{Counters, Fact, Gap, Gaps, ProcessActivity, Reason, Topology, Window};
use crate::observe::deadline::Deadline;
use crate::observe::gpu::gpus;
use crate::observe::process::{Readers, parse_stat, stat, threads, ticks_after_boot};
use crate::observe::root::Root;
use crate::observe::source::{Source, Subjects};
use crate::observe::watch::{
    Clock, Interrupt, Tallies, Tally, ThreadSample, counted_between, read_numastat,
    read_pages_migrated, read_vmstat,
};
use crate::observe::{nodes, selection};
use crate::units::{NodeId, Pid};

/// The most rounds in a window.
const MOST_ROUNDS: u32 = 100;

/// The least time between two rounds in a window of a second or more. The kernel reports CPU time in steps of 10 ms, so more
/// frequent rounds would show little more.
const LEAST_STEP: Duration = Duration::from_millis(100);

/// The time between two rounds is at least this multiple of the CPU time of the first. So sampling takes at most a twentieth of one
/// CPU, for every number of threads.
const REST_FACTOR: u32 = 20;

/// The most threads that are sampled. More threads are reported as a gap.
const MOST_THREADS: usize = 1 << 16;

/// Samples the relevant processes for the time `asked`, or until Ctrl-C. `None` where there is no such process, or where a named
/// process does not exist: the observation that follows reports that.
///
/// The driver is queried here for the processes to sample, and again by the observation, which has the processes of its own time.
///
/// # Errors
/// When Ctrl-C cannot be handled.
pub(crate) fn watch(
    source: &Source,
    subjects: &Subjects,
    asked: Duration,
) -> io::Result<Option<Window>> {
    let root = &source.root;
    let topology = nodes::read_topology(root, &mut Gaps::default());
    let Some(pids) = relevant_processes(source, subjects, &topology) else {
        return Ok(None);
    };
    let mut interrupt = Interrupt::hold()?;
    let mut sampler = Sampler::new(root, &topology, pids);
    let before = sampler.counters();
    let pages = sampler.pages_migrated();
    let step = (asked / (MOST_ROUNDS - 1)).max(LEAST_STEP.min(asked / 10));
    let start = Instant::now();
    let end = start + asked;
    let (mut next, mut rounds, mut is_interrupted) = (start, 0, false);
    let length = loop {
        let (began, used) = (Instant::now(), own_cpu_time());
        sampler.run_round();
        rounds += 1;
        if is_interrupted || began >= end {
            break began - start;
        }
        let rest = own_cpu_time().saturating_sub(used) * REST_FACTOR;
        next = (next + step).max(began + rest);
        // A very short last step would show nothing.
        if next + step / 2 > end {
            next = end;
        }
        is_interrupted = interrupt.wait_until(next);
    };
    let after = sampler.counters();
    let node_counters = after.nodes.into_iter().filter_map(|(node, after)| {
        let before = before.nodes.get(&node)?;
        Some((node, counted_between(before, &after)))
    });
    Ok(Some(Window {
        asked,
        length,
        looks: rounds,
        node_counters: node_counters.collect(),
        vmstat: counted_between(&before.machine, &after.machine),
        gaps: sampler.gaps(),
        processes: sampler.finish(&pages),
    }))
}

/// The relevant processes at this time, with their start times.
fn relevant_processes(
    source: &Source,
    subjects: &Subjects,
    topology: &Topology,
) -> Option<BTreeMap<Pid, u64>> {
    let (root, mut unused) = (&source.root, Gaps::default());
    let named = match subjects {
        Subjects::Named(pids) => pids.as_slice(),
        Subjects::GpuUsers => &[],
        Subjects::MachineOnly => return None,
    };
    let deadline = Deadline::within(source.time_limit);
    let (answer, stats, ()) = source.query_driver(deadline, subjects, || ());
    let readers = Readers::new(root.clone(), deadline);
    let (mut gpus, _) = gpus::read_gpus(root, &answer, topology, &mut unused);
    let choice = selection::choose(
        &readers,
        stats,
        &mut gpus,
        named,
        &source.manifest,
        &mut unused,
    );
    if named.iter().any(|pid| choice.missing.contains_key(pid)) {
        return None;
    }
    let chosen = choice.selection.pids.into_iter();
    let chosen = chosen.filter_map(|pid| Some((pid, choice.stats.get(&pid)?.start_time_ticks)));
    Some(chosen.collect()).filter(|pids: &BTreeMap<_, _>| !pids.is_empty())
}

/// Counters of the machine since its start.
struct MachineCounters {
    nodes: BTreeMap<NodeId, Counters>,
    machine: Counters,
}

/// The pages that NUMA balancing has moved for each thread since its start.
type MigratedPages = BTreeMap<Pid, BTreeMap<u32, u64>>;

/// Samples the threads of a set of processes.
struct Sampler<'a> {
    root: &'a Root,
    topology: &'a Topology,
    clock: Clock,
    tallies: Tallies,
    /// All processes of the last round, so that new ones are found.
    known: BTreeSet<Pid>,
    /// How many threads were beyond [`MOST_THREADS`].
    left_out: usize,
}

impl<'a> Sampler<'a> {
    fn new(root: &'a Root, topology: &'a Topology, pids: BTreeMap<Pid, u64>) -> Self {
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        let clock = Clock {
            began: ticks_after_boot(Instant::now()),
            ticks_per_second,
        };
        let tallies = pids.into_iter();
        let tallies = tallies.map(|(pid, start)| (pid, Tally::new(clock, start)));
        Self {
            root,
            topology,
            clock,
            tallies: tallies.collect(),
            known: listed(root),
            left_out: 0,
        }
    }

    fn run_round(&mut self) {
        self.add_children();
        let mut room = MOST_THREADS;
        let mut left_out = 0;
        let mut ended = BTreeSet::new();
        for (pid, tally) in &mut self.tallies {
            let tids = threads::tids(self.root, *pid);
            if tids.is_empty() {
                ended.insert(*pid);
            }
            left_out += tids.len().saturating_sub(room);
            let threads = tids.into_iter().take(room);
            let threads: Result<Vec<ThreadSample>, Reason> = threads
                .filter_map(|tid| read_thread(self.root, *pid, tid, self.topology).transpose())
                .collect();
            let Ok(threads) = threads else {
                // A partial sample is skipped, because the missing threads would count as ended.
                continue;
            };
            room -= threads.len();
            let main = threads.iter().find(|thread| thread.tid == pid.0);
            if main.is_some_and(|main| tally.is_of(main.start_time_ticks)) {
                tally.add(&threads);
            }
        }
        self.left_out = self.left_out.max(left_out);
        // Nothing is said of a process that has ended, and a job may start and end any number of them.
        self.tallies.retain(|pid, _| !ended.contains(pid));
    }

    /// Adds processes that the sampled ones have started since the last round.
    fn add_children(&mut self) {
        let listed = listed(self.root);
        for pid in listed.difference(&self.known) {
            if let Ok(stat) = stat::read_stat(self.root, *pid)
                && self.tallies.contains_key(&stat.ppid)
            {
                self.tallies
                    .insert(*pid, Tally::new(self.clock, stat.start_time_ticks));
            }
        }
        self.known = listed;
    }

    fn counters(&self) -> MachineCounters {
        let nodes = self.topology.nodes().keys();
        let nodes = nodes.filter_map(|node| Some((*node, read_numastat(self.root, *node)?)));
        MachineCounters {
            nodes: nodes.collect(),
            machine: read_vmstat(self.root).unwrap_or_default(),
        }
    }

    /// Of the processes for which the kernel reports them.
    fn pages_migrated(&self) -> MigratedPages {
        let of_process = |pid: Pid| {
            let tids = threads::tids(self.root, pid).into_iter();
            let pages = tids.take(MOST_THREADS).filter_map(|tid| {
                let pages = read_pages_migrated(self.root, pid, tid)?;
                Some((tid, pages))
            });
            Some(pages.collect()).filter(|pages: &BTreeMap<u32, u64>| !pages.is_empty())
        };
        let pids = self.tallies.keys();
        pids.filter_map(|pid| Some((*pid, of_process(*pid)?)))
            .collect()
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Gaps::default();
        if self.left_out > 0 {
            let why = format!(
                "more than {MOST_THREADS} threads: {} of them were not sampled",
                self.left_out
            );
            gaps.note(None, Fact::CpuTime, Reason::Failed(why));
        }
        gaps.into_vec()
    }

    fn finish(self, before: &MigratedPages) -> BTreeMap<Pid, ProcessActivity> {
        let after = self.pages_migrated();
        let tallies = self.tallies.into_iter();
        let activities = tallies.map(|(pid, tally)| {
            let moved = |pages: &BTreeMap<u32, u64>| {
                let before = |tid| before.get(&pid).and_then(|pages| pages.get(tid));
                let moved = pages.iter().map(|(tid, count)| {
                    // All pages of a new thread count.
                    count.saturating_sub(before(tid).copied().unwrap_or(0))
                });
                moved.fold(0, u64::saturating_add)
            };
            (pid, tally.finish(after.get(&pid).map(moved)))
        });
        activities.collect()
    }
}

/// The CPU time of this program.
fn own_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    // It is never negative, and always a valid duration.
    Duration::try_from(time).unwrap_or_default()
}

fn listed(root: &Root) -> BTreeSet<Pid> {
    let pids = root.numbers("proc").unwrap_or_default();
    pids.into_iter().map(Pid).collect()
}

/// `None` for a thread that has ended.
fn read_thread(
    root: &Root,
    pid: Pid,
    tid: u32,
    topology: &Topology,
) -> Result<Option<ThreadSample>, Reason> {
    let stat = match root.read(&format!("proc/{pid}/task/{tid}/stat")) {
        Err(Reason::Gone | Reason::Absent) => return Ok(None),
        text => parse_stat(&text?)?,
    };
    Ok(Some(ThreadSample {
        tid,
        start_time_ticks: stat.start_time_ticks,
        node: topology.node_of(stat.last_cpu),
        cpu_ticks: stat.cpu_ticks,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::root::{RecordedEntry, RecordedTree};

    #[test]
    fn nothing_is_kept_of_processes_that_have_ended() {
        let mut tree = RecordedTree::default();
        let zeros = "0 ".repeat(16);
        let stat = format!("7 (x) S 1 {zeros} 0 9 {zeros} 0 0 0\n");
        let stat = RecordedEntry::File(stat.into_bytes());
        tree.insert("proc/7/task/7/stat", stat);
        let (root, topology) = (Root::archive(tree), Topology::default());
        let pids = (7..1000).map(|pid| (Pid(pid), 9)).collect();
        let mut sampler = Sampler::new(&root, &topology, pids);
        sampler.run_round();
        assert_eq!(sampler.tallies.keys().collect::<Vec<_>>(), [&Pid(7)]);
    }
}
