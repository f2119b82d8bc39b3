//! Samples the threads of the relevant processes again and again.
//!
//! A round reads only `stat` of these threads: a few microseconds for each. What costs the processes more, their memory above
//! all, is read once, by the observation that follows.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use rustix::time::ClockId;

use crate::machine::{Gaps, Topology, Window};
use crate::observe::deadline::Deadline;
use crate::observe::gpu::gpus;
use crate::observe::process::Readers;
use crate::observe::source::{Source, Subjects};
use crate::observe::watch::{Interrupt, Sampler};
use crate::observe::{nodes, selection};
use crate::units::Pid;

/// The most rounds in a window.
const MOST_ROUNDS: u32 = 100;

/// The least time between two rounds in a window of a second or more. The kernel reports CPU time in steps of 10 ms, so more
/// frequent rounds would show little more.
const LEAST_STEP: Duration = Duration::from_millis(100);

/// The time between two rounds is at least this multiple of the CPU time of the first. So sampling takes at most a twentieth of one
/// CPU, for every number of threads.
const REST_FACTOR: u32 = 20;

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
    let mut sampler = Sampler::new(root.clone(), topology.into(), pids);
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
    Ok(Some(Window {
        asked,
        length,
        looks: rounds,
        node_counters: before.nodes_until(&after),
        vmstat: before.machine_until(&after),
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

/// The CPU time of this program.
pub(super) fn own_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(ClockId::ProcessCPUTime);
    // It is never negative, and always a valid duration.
    Duration::try_from(time).unwrap_or_default()
}
