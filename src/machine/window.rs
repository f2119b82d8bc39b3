//! A time window: CPU time by node, migrations, and counters of the kernel.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::machine::Gap;
use crate::units::{NodeId, Pid};

/// A time in which threads were sampled again and again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Window {
    /// The length that the user asked for.
    pub(crate) asked: Duration,
    /// The actual length: shorter where the user ended it.
    pub(crate) length: Duration,
    /// How often the threads were sampled, at the start and at the end included.
    pub(crate) looks: usize,
    /// The sampled processes, with those that ended in the window.
    pub(crate) processes: BTreeMap<Pid, ProcessActivity>,
    /// What each node's `numastat` counted in the window, in pages. Nodes whose counters could not be read are left out.
    pub(crate) node_counters: BTreeMap<NodeId, Counters>,
    /// What `/proc/vmstat` counted in the window of NUMA balancing.
    pub(crate) vmstat: Counters,
    /// What could not be sampled.
    pub(crate) gaps: Vec<Gap>,
}

/// Counters by the kernel's names. Counters that the kernel does not have are left out.
pub(crate) type Counters = BTreeMap<&'static str, u64>;

/// What one process did in the window.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProcessActivity {
    /// Its start time in clock ticks after boot. PID and start time identify a process.
    pub(crate) start_time_ticks: u64,
    /// The CPU time of all its threads. Of threads that ended it is what was sampled.
    pub(crate) cpu_time: CpuTime,
    /// How often a thread used CPU time between two samples and was on another node at the second. Migrations between samples
    /// are not seen, so this is a lower bound.
    pub(crate) migrations: u64,
    /// How many threads migrated.
    pub(crate) threads_moved: usize,
    /// The threads of the last sample, by TID.
    pub(crate) threads: BTreeMap<u32, ThreadActivity>,
    /// The pages that NUMA balancing moved for its threads (`numa_pages_migrated` of `sched`), without threads that ended. `None`
    /// where the kernel does not report it.
    pub(crate) pages_migrated: Option<u64>,
}

/// What one thread did in the window.
#[derive(Debug, Clone, Default)]
pub(crate) struct ThreadActivity {
    /// Its start time in clock ticks after boot.
    pub(crate) start_time_ticks: u64,
    /// Its CPU time by node.
    pub(crate) cpu_time: CpuTime,
    /// How often it was seen on another node than before.
    pub(crate) migrations: u64,
}

/// CPU time, user and system, by node: the node of the CPU on which the thread was at the end of each step. Nodes without any are
/// left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CpuTime(BTreeMap<NodeId, Duration>);

impl CpuTime {
    /// Adds time on one node.
    pub(crate) fn add(&mut self, node: NodeId, time: Duration) {
        if !time.is_zero() {
            let sum = self.0.entry(node).or_default();
            *sum = sum.saturating_add(time);
        }
    }

    /// Adds all times of `other`.
    pub(crate) fn add_all(&mut self, other: &Self) {
        other.iter().for_each(|(node, time)| self.add(node, time));
    }

    /// The times by node, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, Duration)> + '_ {
        self.0.iter().map(|(node, time)| (*node, *time))
    }

    /// Whether there is no CPU time.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// The sum over the nodes for which `counts` is true.
    pub(crate) fn on(&self, counts: impl Fn(NodeId) -> bool) -> Duration {
        let times = self.iter().filter(|(node, _)| counts(*node));
        times.fold(Duration::ZERO, |sum, (_, time)| sum.saturating_add(time))
    }

    /// The sum over all nodes.
    pub(crate) fn total(&self) -> Duration {
        self.on(|_| true)
    }

    /// The node with the most time, the lowest one of several; `None` where there is none.
    pub(crate) fn most(&self) -> Option<NodeId> {
        let mut nodes = self.iter();
        let first = nodes.next()?;
        let most = nodes.fold(
            first,
            |most, next| if next.1 > most.1 { next } else { most },
        );
        Some(most.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(times: &[(u32, u64)]) -> CpuTime {
        let mut cpu_time = CpuTime::default();
        for (node, millis) in times {
            cpu_time.add(NodeId(*node), Duration::from_millis(*millis));
        }
        cpu_time
    }

    #[test]
    fn the_node_with_the_most_time_is_found() {
        assert_eq!(spent(&[]).most(), None);
        assert_eq!(spent(&[(3, 0)]).most(), None, "no time");
        assert_eq!(spent(&[(0, 10), (1, 20), (2, 20)]).most(), Some(NodeId(1)));
    }

    #[test]
    fn times_are_summed_by_node() {
        let mut all = spent(&[(0, 10), (1, 20)]);
        all.add_all(&spent(&[(1, 5)]));
        assert_eq!(all.on(|node| node == NodeId(1)), Duration::from_millis(25));
        assert_eq!(all.total(), Duration::from_millis(35));
        let hours = spent(&[(0, u64::MAX), (1, u64::MAX)]);
        assert!(hours.total() > Duration::from_millis(u64::MAX));
    }
}
