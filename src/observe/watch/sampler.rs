//! Samples of the threads of a set of processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::machine::{Counters, Fact, Gap, Gaps, ProcessActivity, Reason, Topology};
use crate::observe::process::{parse_stat, stat, threads, ticks_after_boot};
use crate::observe::root::Root;
use crate::observe::watch::{
    Clock, Tallies, Tally, ThreadSample, counted_between, read_numastat, read_pages_migrated,
    read_vmstat,
};
use crate::units::{NodeId, Pid};

/// The most threads that are sampled. More threads are reported as a gap.
const MOST_THREADS: usize = 1 << 16;

/// Counters of the machine since its start.
#[derive(Debug)]
pub(crate) struct MachineCounters {
    nodes: BTreeMap<NodeId, Counters>,
    machine: Counters,
}

impl MachineCounters {
    /// What each node counted until `after`, in pages.
    pub(crate) fn nodes_until(&self, after: &Self) -> BTreeMap<NodeId, Counters> {
        let nodes = after.nodes.iter().filter_map(|(node, after)| {
            let before = self.nodes.get(node)?;
            Some((*node, counted_between(before, after)))
        });
        nodes.collect()
    }

    /// What the machine counted until `after`.
    pub(crate) fn machine_until(&self, after: &Self) -> Counters {
        counted_between(&self.machine, &after.machine)
    }
}

/// The pages that NUMA balancing has moved for each thread since its start.
pub(crate) type MigratedPages = BTreeMap<Pid, BTreeMap<u32, u64>>;

/// Samples the threads of a set of processes.
#[derive(Debug)]
pub(crate) struct Sampler {
    root: Arc<Root>,
    topology: Arc<Topology>,
    clock: Clock,
    tallies: Tallies,
    /// All processes of the last round, so that new ones are found.
    known: BTreeSet<Pid>,
    /// How many threads were beyond [`MOST_THREADS`].
    left_out: usize,
}

impl Sampler {
    /// Samples the processes with these start times.
    pub(crate) fn new(root: Arc<Root>, topology: Arc<Topology>, pids: BTreeMap<Pid, u64>) -> Self {
        let clock = clock();
        let tallies = pids.into_iter();
        let tallies = tallies.map(|(pid, start)| (pid, Tally::new(clock, start)));
        Self {
            clock,
            tallies: tallies.collect(),
            known: listed(&root),
            root,
            topology,
            left_out: 0,
        }
    }

    /// Samples the processes with these start times from now on, and no others.
    pub(crate) fn follow(&mut self, pids: &BTreeMap<Pid, u64>) {
        self.tallies
            .retain(|pid, tally| pids.get(pid).is_some_and(|start| tally.is_of(*start)));
        for (pid, start) in pids {
            let new = || Tally::new(self.clock, *start);
            self.tallies.entry(*pid).or_insert_with(new);
        }
    }

    /// Reads the threads of all processes once.
    pub(crate) fn run_round(&mut self) {
        self.add_children();
        let mut room = MOST_THREADS;
        let mut left_out = 0;
        let mut ended = BTreeSet::new();
        for (pid, tally) in &mut self.tallies {
            let tids = threads::tids(&self.root, *pid);
            if tids.is_empty() {
                ended.insert(*pid);
            }
            left_out += tids.len().saturating_sub(room);
            let threads = tids.into_iter().take(room);
            let threads: Result<Vec<ThreadSample>, Reason> = threads
                .filter_map(|tid| read_thread(&self.root, *pid, tid, &self.topology).transpose())
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
        let listed = listed(&self.root);
        for pid in listed.difference(&self.known) {
            if let Ok(stat) = stat::read_stat(&self.root, *pid)
                && self.tallies.contains_key(&stat.ppid)
            {
                self.tallies
                    .insert(*pid, Tally::new(self.clock, stat.start_time_ticks));
            }
        }
        self.known = listed;
    }

    /// What the kernel has counted until now.
    pub(crate) fn counters(&self) -> MachineCounters {
        let nodes = self.topology.nodes().keys();
        let nodes = nodes.filter_map(|node| Some((*node, read_numastat(&self.root, *node)?)));
        MachineCounters {
            nodes: nodes.collect(),
            machine: read_vmstat(&self.root).unwrap_or_default(),
        }
    }

    /// Of the processes for which the kernel reports them.
    pub(crate) fn pages_migrated(&self) -> MigratedPages {
        let of_process = |pid: Pid| {
            let tids = threads::tids(&self.root, pid).into_iter();
            let pages = tids.take(MOST_THREADS).filter_map(|tid| {
                let pages = read_pages_migrated(&self.root, pid, tid)?;
                Some((tid, pages))
            });
            Some(pages.collect()).filter(|pages: &BTreeMap<u32, u64>| !pages.is_empty())
        };
        let pids = self.tallies.keys();
        pids.filter_map(|pid| Some((*pid, of_process(*pid)?)))
            .collect()
    }

    /// Whether the kernel moves pages by itself. While it does not, no count of such pages changes.
    pub(crate) fn is_balancing(&self) -> bool {
        let setting = self.root.read("proc/sys/kernel/numa_balancing");
        setting.is_ok_and(|text| text.trim_ascii() != b"0")
    }

    /// What could not be sampled.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
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

    /// The activity of all processes. `before`: the pages at the start of the window.
    pub(crate) fn finish(mut self, before: &MigratedPages) -> BTreeMap<Pid, ProcessActivity> {
        let after = self.pages_migrated();
        self.take(before, &after)
    }

    /// The activity since the start of the window; the next window starts now. `before`, `after`: the pages at the start and now.
    pub(crate) fn take(
        &mut self,
        before: &MigratedPages,
        after: &MigratedPages,
    ) -> BTreeMap<Pid, ProcessActivity> {
        self.clock = clock();
        self.left_out = 0;
        let next = self.clock;
        let tallies = self.tallies.iter_mut();
        let activities = tallies.map(|(pid, tally)| {
            let moved = |pages: &BTreeMap<u32, u64>| {
                let before = |tid| before.get(pid).and_then(|pages| pages.get(tid));
                let moved = pages.iter().map(|(tid, count)| {
                    // All pages of a new thread count.
                    count.saturating_sub(before(tid).copied().unwrap_or(0))
                });
                moved.fold(0, u64::saturating_add)
            };
            (*pid, tally.take(after.get(pid).map(moved), next))
        });
        activities.collect()
    }

    /// Whether there is a process to sample.
    pub(crate) fn has_processes(&self) -> bool {
        !self.tallies.is_empty()
    }
}

/// A clock whose window begins now.
fn clock() -> Clock {
    Clock {
        began: ticks_after_boot(Instant::now()),
        ticks_per_second: rustix::param::clock_ticks_per_second(),
    }
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
        let (root, topology) = (Root::archive(tree).into(), Topology::default().into());
        let pids = (7..1000).map(|pid| (Pid(pid), 9)).collect();
        let mut sampler = Sampler::new(root, topology, pids);
        sampler.run_round();
        assert_eq!(sampler.tallies.keys().collect::<Vec<_>>(), [&Pid(7)]);
    }
}
