//! Looks at the threads of the processes that matter, again and again.
//!
//! A look reads `stat` of these threads alone: some microseconds for each. What costs the watched processes something,
//! their memory above all, is read once, by the observation that comes after it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, Instant};

use rustix::time::ClockId;

use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::topology::Topology;
use crate::machine::window::{Counters, Watched, Window};
use crate::observe::gpu::answered::ticks_after_boot;
use crate::observe::gpu::gpus;
use crate::observe::process::readers::{Deadline, Readers};
use crate::observe::process::stat::parse_stat;
use crate::observe::process::{processes, procfs};
use crate::observe::root::Root;
use crate::observe::watch::counters::{NUMASTAT, VMSTAT, counted_between, parse_counters};
use crate::observe::watch::interrupt::Interrupt;
use crate::observe::watch::sched::parse_pages_migrated;
use crate::observe::watch::tally::{Clock, Seen, Tallies, Tally};
use crate::observe::{Source, Subjects, sysfs};
use crate::units::{NodeId, Pid};

/// How often a window is looked into at most.
const MOST_LOOKS: u32 = 100;

/// The least time from one look to the next in a window of a second or more. CPU time is told in steps of 10 ms, so that
/// nearer looks would see little more.
const LEAST_STEP: Duration = Duration::from_millis(100);

/// So many times the CPU time that a look took pass before the next: whatever the number of threads, a twentieth of one
/// CPU is the most that it costs.
const REST: u32 = 20;

/// The most threads that are watched. Those beyond have a gap.
const MOST_THREADS: usize = 1 << 16;

/// Watches the processes that matter for so long, or until Ctrl-C. `None` where there are none now, or one that was named
/// is not there: an observation says that at once.
///
/// The driver is asked here for whom to watch, and again by the observation that comes after, which is to see those that
/// are there then.
///
/// # Errors
/// Where Ctrl-C cannot be held back.
pub fn watch(source: &Source, subjects: &Subjects, asked: Duration) -> io::Result<Option<Window>> {
    let root = &source.root;
    let topology = sysfs::read_topology(root, &mut Vec::new());
    let Some(pids) = whom(source, subjects) else {
        return Ok(None);
    };
    let mut interrupt = Interrupt::hold()?;
    let mut watch = Watch::new(root, &topology, pids);
    let before = watch.counters();
    let pages = watch.pages_migrated();
    let step = (asked / (MOST_LOOKS - 1)).max(LEAST_STEP.min(asked / 10));
    let start = Instant::now();
    let end = start + asked;
    let (mut next, mut looks, mut is_interrupted) = (start, 0, false);
    let length = loop {
        let (began, used) = (Instant::now(), own_cpu_time());
        watch.look();
        looks += 1;
        if is_interrupted || began >= end {
            break began - start;
        }
        let rest = own_cpu_time().saturating_sub(used) * REST;
        next = (next + step).max(began + rest);
        // A last step of next to nothing would show nothing.
        if next + step / 2 > end {
            next = end;
        }
        is_interrupted = interrupt.wait_until(next);
    };
    let after = watch.counters();
    let node_counters = after.nodes.into_iter().filter_map(|(node, after)| {
        let before = before.nodes.get(&node)?;
        Some((node, counted_between(before, &after)))
    });
    Ok(Some(Window {
        asked,
        length,
        looks,
        node_counters: node_counters.collect(),
        vmstat: counted_between(&before.machine, &after.machine),
        gaps: watch.gaps(),
        processes: watch.finish(&pages),
    }))
}

/// The processes that matter now, with their start.
fn whom(source: &Source, subjects: &Subjects) -> Option<BTreeMap<Pid, u64>> {
    let (root, mut untold) = (&source.root, Vec::new());
    let named = match subjects {
        Subjects::Named(pids) => pids.as_slice(),
        Subjects::GpuUsers => &[],
        Subjects::Nobody => return None,
    };
    let deadline = Deadline::within(source.deadline);
    let (answer, stats, ()) = source.ask(deadline, subjects, || ());
    let readers = Readers::new(root.clone(), deadline);
    let (mut gpus, _) = gpus::read_gpus(root, &answer, &mut untold);
    let (mut strangers, unseen) = (BTreeSet::new(), BTreeMap::new());
    let choice = processes::choose(
        &readers,
        stats,
        &mut gpus,
        named,
        &mut strangers,
        &unseen,
        &mut untold,
    );
    if named.iter().any(|pid| choice.missing.contains_key(pid)) {
        return None;
    }
    let chosen = choice.selection.pids.into_iter();
    let chosen = chosen.filter_map(|pid| Some((pid, choice.stats.get(&pid)?.start_time_ticks)));
    Some(chosen.collect()).filter(|pids: &BTreeMap<_, _>| !pids.is_empty())
}

/// What the machine has counted since it started.
struct MachineCounters {
    nodes: BTreeMap<NodeId, Counters>,
    machine: Counters,
}

/// The pages that were moved to each thread since it started.
type Pages = BTreeMap<Pid, BTreeMap<u32, u64>>;

/// The processes that are watched.
struct Watch<'a> {
    root: &'a Root,
    topology: &'a Topology,
    clock: Clock,
    tallies: Tallies,
    /// All processes of the last look: one that is not among them is new.
    known: BTreeSet<Pid>,
    /// How many threads there was no room for.
    left_out: usize,
}

impl<'a> Watch<'a> {
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

    fn look(&mut self) {
        self.take_in_children();
        let mut room = MOST_THREADS;
        let mut left_out = 0;
        for (pid, tally) in &mut self.tallies {
            let tids = procfs::tids(self.root, *pid);
            left_out += tids.len().saturating_sub(room);
            let threads = tids.into_iter().take(room);
            let threads: Result<Vec<Seen>, Reason> = threads
                .filter_map(|tid| read_thread(self.root, *pid, tid, self.topology).transpose())
                .collect();
            let Ok(threads) = threads else {
                // Not one look at half of them: those that are missing would seem to have ended.
                continue;
            };
            room -= threads.len();
            let main = threads.iter().find(|seen| seen.tid == pid.0);
            if main.is_some_and(|main| tally.is_of(main.start_time_ticks)) {
                tally.look(&threads);
            }
        }
        self.left_out = self.left_out.max(left_out);
    }

    /// Takes in processes that the watched ones have started since the last look.
    fn take_in_children(&mut self) {
        let listed = listed(self.root);
        for pid in listed.difference(&self.known) {
            if let Ok(stat) = procfs::read_stat(self.root, *pid)
                && self.tallies.contains_key(&stat.ppid)
            {
                self.tallies
                    .insert(*pid, Tally::new(self.clock, stat.start_time_ticks));
            }
        }
        self.known = listed;
    }

    fn counters(&self) -> MachineCounters {
        let read = |path: &str, names| {
            let text = self.root.read(path).ok()?;
            parse_counters(&text, names).ok()
        };
        let nodes = self.topology.nodes().keys().filter_map(|node| {
            let path = format!("sys/devices/system/node/node{node}/numastat");
            Some((*node, read(&path, NUMASTAT)?))
        });
        MachineCounters {
            nodes: nodes.collect(),
            machine: read("proc/vmstat", VMSTAT).unwrap_or_default(),
        }
    }

    /// Of those processes of which the kernel tells.
    fn pages_migrated(&self) -> Pages {
        let of_thread = |pid: &Pid, tid: u32| {
            let path = format!("proc/{pid}/task/{tid}/sched");
            parse_pages_migrated(&self.root.read(&path).ok()?).ok()?
        };
        let of_process = |pid: &Pid| {
            let tids = procfs::tids(self.root, *pid).into_iter().take(MOST_THREADS);
            let pages = tids.filter_map(|tid| Some((tid, of_thread(pid, tid)?)));
            Some(pages.collect()).filter(|pages: &BTreeMap<u32, u64>| !pages.is_empty())
        };
        let pids = self.tallies.keys();
        pids.filter_map(|pid| Some((*pid, of_process(pid)?)))
            .collect()
    }

    fn gaps(&self) -> Vec<Gap> {
        let left_out = (self.left_out > 0).then(|| Gap {
            pid: None,
            fact: Fact::CpuTime,
            reason: Reason::Failed(format!(
                "of more than {MOST_THREADS} threads {} were not watched",
                self.left_out
            )),
        });
        left_out.into_iter().collect()
    }

    fn finish(self, before: &Pages) -> BTreeMap<Pid, Watched> {
        let after = self.pages_migrated();
        let tallies = self.tallies.into_iter();
        let watched = tallies.map(|(pid, tally)| {
            let moved = |pages: &BTreeMap<u32, u64>| {
                let before = |tid| before.get(&pid).and_then(|pages| pages.get(tid));
                let moved = pages.iter().map(|(tid, count)| {
                    // A thread that is new brought its own.
                    count.saturating_sub(before(tid).copied().unwrap_or(0))
                });
                moved.fold(0, u64::saturating_add)
            };
            (pid, tally.finish(after.get(&pid).map(moved)))
        });
        watched.collect()
    }
}

/// The CPU time that this program has used.
fn own_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    // Neither negative nor beyond a second's nanoseconds.
    Duration::try_from(time).unwrap_or_default()
}

fn listed(root: &Root) -> BTreeSet<Pid> {
    let pids = root.numbers("proc").unwrap_or_default();
    pids.into_iter().map(Pid).collect()
}

/// `None` for a thread that ended meanwhile.
fn read_thread(
    root: &Root,
    pid: Pid,
    tid: u32,
    topology: &Topology,
) -> Result<Option<Seen>, Reason> {
    let stat = match root.read(&format!("proc/{pid}/task/{tid}/stat")) {
        Err(Reason::Gone | Reason::Absent) => return Ok(None),
        text => parse_stat(&text?)?,
    };
    Ok(Some(Seen {
        tid,
        start_time_ticks: stat.start_time_ticks,
        node: topology.node_of(stat.last_cpu),
        cpu_ticks: stat.cpu_ticks,
    }))
}
