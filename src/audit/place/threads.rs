//! Threads that may leave the local nodes: who they are, and how that came about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::audit::place::cpu::verdicts;
use crate::audit::place::verdict::{Judged, Verdict};
use crate::machine::process::{Process, Thread};

/// The threads of a process that may leave its local nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LooseThreads {
    /// How many.
    pub count: usize,
    /// How many of each name, the number at its end left out (`pt_autograd_3`). Threads that nobody named have that of the
    /// process.
    pub names: BTreeMap<String, usize>,
    /// How it looks that they came to be loose where the main thread is not; `None` where that cannot be told.
    pub pattern: Option<Pattern>,
}

/// How a process's main thread comes to be held where others are not. In each the loose ones still have one affinity
/// together, that of before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// The main thread alone has its affinity: `taskset -p` without `-a`, or a call of sched_setaffinity when all the others
    /// were there.
    LeaderOnly,
    /// All that are loose are older than all that have the main thread's affinity: the binding came when they were there,
    /// and those that came after it inherited it.
    LateBinding,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeaderOnly => "leader-only",
            Self::LateBinding => "late-binding",
        })
    }
}

impl LooseThreads {
    /// Those of a process with these threads.
    pub(crate) fn of(process: &Process, threads: &[Thread], judged: &Judged) -> Self {
        // What is not known of a thread is a gap.
        let judged_each = threads.iter().zip(verdicts(threads, judged));
        let loose = judged_each.filter(|(_, verdict)| *verdict == Verdict::AtRisk);
        let loose: Vec<&Thread> = loose.map(|(thread, _)| thread).collect();
        let mut names = BTreeMap::new();
        for name in loose.iter().filter_map(|thread| thread.name.as_deref()) {
            *names.entry(unnumbered(name).to_owned()).or_default() += 1;
        }
        Self {
            count: loose.len(),
            names,
            pattern: pattern(process, threads, &loose),
        }
    }
}

/// A thread's name without the number that tells it from its like.
fn unnumbered(name: &str) -> &str {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    // `python3` and `cuda00001c00008` are names as they are.
    let ends = |letter: char| matches!(letter, '_' | '-' | ' ' | '#' | '/' | ':');
    let shorter = stem.trim_end_matches(ends);
    match stem.len() < name.len() && shorter.len() < stem.len() && !shorter.is_empty() {
        true => shorter,
        false => name,
    }
}

fn pattern(process: &Process, threads: &[Thread], loose: &[&Thread]) -> Option<Pattern> {
    let (main, others): (Vec<&Thread>, Vec<&Thread>) = threads
        .iter()
        .partition(|thread| thread.tid == process.pid.0);
    let main = main.first()?;
    let is_loose = |thread: &Thread| loose.iter().any(|of| of.tid == thread.tid);
    let masks = loose.iter().map(|thread| &thread.affinity);
    let is_alike = masks
        .clone()
        .zip(masks.skip(1))
        .all(|(one, next)| one == next);
    if loose.is_empty() || is_loose(main) || main.affinity.is_none() || !is_alike {
        return None;
    }
    // Others that are held elsewise have bound themselves, as those of NCCL do.
    let alike = others
        .into_iter()
        .filter(|thread| thread.affinity == main.affinity);
    let alike: Vec<&Thread> = alike.collect();
    if alike.is_empty() {
        return Some(Pattern::LeaderOnly);
    }
    // Ticks of 10 ms: those of one tick cannot be told apart.
    let is_late = starts(loose)?.last() < starts(&alike)?.first();
    is_late.then_some(Pattern::LateBinding)
}

/// When they started, ascending; `None` where that is not known of all.
fn starts(threads: &[&Thread]) -> Option<BTreeSet<u64>> {
    threads
        .iter()
        .map(|thread| thread.start_time_ticks)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::topology::{Node, Topology};
    use crate::units::{Cpu, CpuSet, NodeId, NodeSet, Pid};

    fn cpus(cpus: &[u32]) -> CpuSet {
        cpus.iter().copied().map(Cpu).collect()
    }

    /// Threads with a name, their start and their CPUs, the main one first, on two nodes of two CPUs; at home on node 0.
    fn loose(threads: &[(&str, u64, &[u32])]) -> LooseThreads {
        let nodes = [(0, [0, 1]), (1, [2, 3])].map(|(id, own)| {
            let node = Node {
                cpus: Some(cpus(&own)),
                ..Node::default()
            };
            (NodeId(id), node)
        });
        let topology = Topology::new(nodes.into());
        let judged = Judged {
            local: &NodeSet::from([NodeId(0)]),
            has_gpu: true,
            pages_too: &NodeSet::new(),
            topology: &topology,
            strict_node: false,
        };
        let threads = (100..).zip(threads);
        let threads = threads.map(|(tid, (name, start, own))| Thread {
            tid,
            name: Some((*name).into()),
            start_time_ticks: Some(*start),
            last_cpu: Some(Cpu(0)),
            affinity: Some(cpus(own).into()),
        });
        let threads: Vec<Thread> = threads.collect();
        LooseThreads::of(&Process::bare(Pid(100)), &threads, &judged)
    }

    const HERE: &[u32] = &[0, 1];
    const ALL: &[u32] = &[0, 1, 2, 3];

    #[test]
    fn names_that_differ_in_a_number_are_one() {
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
        assert_eq!(loose(&threads).names, expected.into());
    }

    #[test]
    fn only_the_main_thread_is_bound() {
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("b", 3, ALL)];
        let found = loose(&threads);
        assert_eq!((found.count, found.pattern), (2, Some(Pattern::LeaderOnly)));
        // NCCL bound its own.
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("nccl", 3, &[0])];
        let found = loose(&threads);
        assert_eq!((found.count, found.pattern), (1, Some(Pattern::LeaderOnly)));
        // Each of these was bound by itself.
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("b", 3, &[2])];
        let found = loose(&threads);
        assert_eq!((found.count, found.pattern), (2, None));
    }

    #[test]
    fn a_binding_that_came_late() {
        let threads = [("python3", 1, HERE), ("a", 2, ALL), ("b", 7, HERE)];
        assert_eq!(loose(&threads).pattern, Some(Pattern::LateBinding));
        // In the same tick it cannot be told, nor where an old one is held.
        let threads = [("python3", 1, HERE), ("a", 7, ALL), ("b", 7, HERE)];
        assert_eq!(loose(&threads).pattern, None);
        let threads = [
            ("python3", 1, HERE),
            ("a", 2, HERE),
            ("b", 3, ALL),
            ("c", 4, HERE),
        ];
        assert_eq!(loose(&threads).pattern, None);
    }

    #[test]
    fn none_is_loose_or_the_main_one_is() {
        let threads = [("python3", 1, HERE), ("nccl", 3, &[0][..])];
        assert_eq!(loose(&threads), LooseThreads::default());
        let threads = [("python3", 1, ALL), ("a", 3, HERE)];
        assert_eq!(loose(&threads).pattern, None);
    }
}
