//! Threads that may leave the local nodes: which ones, and how that happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::audit::place::{Binding, LocalNodes};
use crate::machine::{Process, Thread};
use crate::units::{CpuSet, StartTicks};

/// The threads of a process that may leave its local nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct UnboundThreads {
    /// How many threads.
    pub(crate) count: usize,
    /// How many threads have each name. A number at the end of a name is cut off (`pt_autograd_3`). A thread that has no
    /// name of its own has the name of the process.
    pub(crate) names: BTreeMap<String, usize>,
    /// How only a part of the threads came to be bound; `None` if that cannot be known.
    pub(crate) pattern: Option<PartialBinding>,
}

/// Why the main thread is bound and other threads are not. In both cases all unbound threads still have the same
/// affinity, the one from before the binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PartialBinding {
    /// No other thread has the affinity of the main thread: `taskset -p` without `-a`, or a call of sched_setaffinity
    /// when all other threads existed already.
    LeaderOnly,
    /// Every unbound thread is older than every thread that has the affinity of the main thread: the process was bound
    /// when the unbound threads existed already, and later threads inherited the binding.
    LateBinding,
}

impl fmt::Display for PartialBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaderOnly => "leader-only",
            Self::LateBinding => "late-binding",
        })
    }
}

/// The binding of each thread; `None` for a thread whose affinity is unknown.
pub(crate) fn bindings(threads: &[Thread], local: &LocalNodes) -> Vec<Option<Binding>> {
    // Neighbours usually have equal masks.
    let mut last: Option<(&CpuSet, Option<Binding>)> = None;
    threads
        .iter()
        .map(|thread| {
            let affinity = thread.affinity.as_deref()?;
            if let Some((_, binding)) = last.filter(|(same, _)| *same == affinity) {
                return binding;
            }
            let binding = Binding::of(&local.topology.nodes_of(affinity), local.nodes);
            last = Some((affinity, binding));
            binding
        })
        .collect()
}

impl UnboundThreads {
    /// `bindings` has the binding of each thread. A thread whose affinity is unknown is not counted: it is a gap.
    pub(crate) fn of(process: &Process, threads: &[Thread], bindings: &[Option<Binding>]) -> Self {
        let unbound: Vec<&Thread> = threads
            .iter()
            .zip(bindings)
            .filter(|(_, binding)| binding.is_some_and(|of| of != Binding::Local))
            .map(|(thread, _)| thread)
            .collect();
        let mut names = BTreeMap::new();
        for name in unbound.iter().filter_map(|thread| thread.name.as_deref()) {
            *names.entry(without_number(name).to_owned()).or_default() += 1;
        }
        Self {
            count: unbound.len(),
            names,
            pattern: pattern(process, threads, &unbound),
        }
    }
}

/// A thread's name without the number that distinguishes it from similar threads.
fn without_number(name: &str) -> &str {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    // Without a separator the digits belong to the name: `python3`, `cuda00001c00008`.
    let is_separator = |letter: char| matches!(letter, '_' | '-' | ' ' | '#' | '/' | ':');
    let shorter = stem.trim_end_matches(is_separator);
    if stem.len() < name.len() && shorter.len() < stem.len() && !shorter.is_empty() {
        shorter
    } else {
        name
    }
}

fn pattern(process: &Process, threads: &[Thread], unbound: &[&Thread]) -> Option<PartialBinding> {
    let (main, others): (Vec<&Thread>, Vec<&Thread>) = threads
        .iter()
        .partition(|thread| thread.tid == process.pid.0);
    let main = main.first()?;
    let first = unbound.first()?;
    let is_main_unbound = unbound.iter().any(|thread| thread.tid == main.tid);
    let has_one_mask = unbound
        .iter()
        .all(|thread| thread.affinity == first.affinity);
    if is_main_unbound || main.affinity.is_none() || !has_one_mask {
        return None;
    }
    // Bound threads with another mask bound themselves, as NCCL's threads do.
    let like_main: Vec<&Thread> = others
        .into_iter()
        .filter(|thread| thread.affinity == main.affinity)
        .collect();
    if like_main.is_empty() {
        return Some(PartialBinding::LeaderOnly);
    }
    // A tick is 10 ms: the order of threads that started in the same tick is unknown.
    let is_late = starts(unbound)?.last() < starts(&like_main)?.first();
    is_late.then_some(PartialBinding::LateBinding)
}

/// The start times of threads, ascending; `None` if one of them is unknown.
fn starts(threads: &[&Thread]) -> Option<BTreeSet<StartTicks>> {
    threads
        .iter()
        .map(|thread| thread.start_time_ticks)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Node, Topology};
    use crate::units::{Cpu, CpuSet, NodeId, NodeSet, Pid};

    fn cpus(cpus: &[u32]) -> CpuSet {
        cpus.iter().copied().map(Cpu).collect()
    }

    /// The unbound ones of these threads (name, start, CPUs; the main thread first). The machine has two nodes of two
    /// CPUs each; node 0 is local.
    fn unbound(threads: &[(&str, u64, &[u32])]) -> UnboundThreads {
        let nodes = [(0, [0, 1]), (1, [2, 3])].map(|(id, own)| {
            let node = Node {
                cpus: Some(cpus(&own)),
                ..Node::default()
            };
            (NodeId(id), node)
        });
        let topology = Topology::new(nodes.into());
        let local = LocalNodes {
            nodes: &NodeSet::from([NodeId(0)]),
            has_gpu: true,
            memory_nodes: &NodeSet::from([NodeId(0)]),
            gpu_memory: &NodeSet::new(),
            topology: &topology,
            strict_node: false,
        };
        let threads = (100..)
            .zip(threads)
            .map(|(tid, (name, start, own))| Thread {
                tid,
                name: Some((*name).into()),
                start_time_ticks: Some((*start).into()),
                last_cpu: Some(Cpu(0)),
                affinity: Some(cpus(own).into()),
            });
        let threads: Vec<Thread> = threads.collect();
        UnboundThreads::of(
            &Process::bare(Pid(100)),
            &threads,
            &bindings(&threads, &local),
        )
    }

    const HERE: &[u32] = &[0, 1];
    const ALL: &[u32] = &[0, 1, 2, 3];

    #[test]
    fn names_that_differ_only_in_a_number_are_counted_together() {
        let threads = [
            ("python3", 1, HERE),
            ("pt_autograd_0", 2, ALL),
            ("pt_autograd_12", 2, ALL),
            ("python3", 2, ALL),
            ("cuda00001c00008", 2, ALL),
            ("7", 2, ALL),
            ("_7", 2, ALL),
        ];
        let expected = [
            ("7", 1),
            ("_7", 1),
            ("cuda00001c00008", 1),
            ("pt_autograd", 2),
            ("python3", 1),
        ];
        let expected = expected.map(|(name, count)| (name.to_owned(), count));
        assert_eq!(unbound(&threads).names, expected.into());
    }

    #[test]
    fn only_the_main_thread_is_bound() {
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("b", 3, ALL)];
        let found = unbound(&threads);
        assert_eq!(
            (found.count, found.pattern),
            (2, Some(PartialBinding::LeaderOnly))
        );
        // NCCL bound its own thread.
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("nccl", 3, &[0])];
        let found = unbound(&threads);
        assert_eq!(
            (found.count, found.pattern),
            (1, Some(PartialBinding::LeaderOnly))
        );
        // Each thread was bound separately.
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("b", 3, &[2])];
        let found = unbound(&threads);
        assert_eq!((found.count, found.pattern), (2, None));
    }

    #[test]
    fn the_binding_is_younger_than_the_unbound_threads() {
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("b", 7, HERE)];
        assert_eq!(unbound(&threads).pattern, Some(PartialBinding::LateBinding));
        // Unknown if both started in the same tick, or if an old thread is bound too.
        let threads = [("python3", 1, HERE), ("a", 7, ALL), ("b", 7, HERE)];
        assert_eq!(unbound(&threads).pattern, None);
        let threads = [
            ("python3", 1, HERE),
            ("a", 2, HERE),
            ("b", 3, ALL),
            ("c", 4, HERE),
        ];
        assert_eq!(unbound(&threads).pattern, None);
    }

    #[test]
    fn no_pattern_without_unbound_threads_or_with_an_unbound_main_thread() {
        let threads = [("python3", 1, HERE), ("nccl", 3, &[0][..])];
        assert_eq!(unbound(&threads), UnboundThreads::default());
        let threads = [("python3", 1, ALL), ("a", 3, HERE)];
        assert_eq!(unbound(&threads).pattern, None);
    }
}
