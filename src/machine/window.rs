//! What was seen over a while: where CPU time was spent, who moved, and what the kernel counted meanwhile.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::machine::gap::Gap;
use crate::units::{NodeId, Pid};

/// A while in which processes were looked at again and again.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// How long it was to be.
    pub asked: Duration,
    /// How long it was: shorter where somebody ended it.
    pub length: Duration,
    /// How many times threads were looked at, the first and the last time among them.
    pub looks: usize,
    /// Those that were looked at, those that ended meanwhile among them.
    pub processes: BTreeMap<Pid, ProcessActivity>,
    /// What each node's `numastat` counted meanwhile, in pages. A node whose counters could not be read is not in it.
    pub node_counters: BTreeMap<NodeId, Counters>,
    /// What `/proc/vmstat` counted meanwhile of NUMA balancing.
    pub vmstat: Counters,
    /// What could not be watched.
    pub gaps: Vec<Gap>,
}

impl Window {
    /// Whether somebody ended it early.
    pub fn is_cut_short(&self) -> bool {
        self.length < self.asked
    }
}

/// What the kernel counted, by its own names. One that it does not know is not in it.
pub type Counters = BTreeMap<&'static str, u64>;

/// One process over a while.
#[derive(Debug, Clone, Default)]
pub struct ProcessActivity {
    /// When it started, in clock ticks after boot: with the PID its identity.
    pub start_time_ticks: u64,
    /// The CPU time of all its threads, those that ended meanwhile among them as far as it was seen.
    pub cpu_time: CpuTime,
    /// How many times a thread that had used CPU time since the last look was on another node than at that one. What
    /// happens between two looks is not seen: it is the least that it was.
    pub migrations: u64,
    /// How many threads these were.
    pub threads_moved: usize,
    /// The threads that were there at the last look, by TID.
    pub threads: BTreeMap<u32, ThreadActivity>,
    /// The pages that NUMA balancing moved on behalf of its threads (`numa_pages_migrated` of `sched`), those that
    /// ended meanwhile not counted. `None` where the kernel does not tell.
    pub pages_migrated: Option<u64>,
}

/// One thread over a while.
#[derive(Debug, Clone, Default)]
pub struct ThreadActivity {
    /// When it started, in clock ticks after boot: with the TID its identity.
    pub start_time_ticks: u64,
    /// Its CPU time.
    pub cpu_time: CpuTime,
}

/// CPU time, user's and system's, by the node on which it was spent: that of the CPU on which a thread was at the end of
/// each step. Nodes without any are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuTime(BTreeMap<NodeId, Duration>);

impl CpuTime {
    /// Adds to one node's.
    pub fn add(&mut self, node: NodeId, time: Duration) {
        if !time.is_zero() {
            let sum = self.0.entry(node).or_default();
            *sum = sum.saturating_add(time);
        }
    }

    /// Adds another's.
    pub fn add_all(&mut self, other: &Self) {
        other.iter().for_each(|(node, time)| self.add(node, time));
    }

    /// By node, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, Duration)> + '_ {
        self.0.iter().map(|(node, time)| (*node, *time))
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// That of the nodes for which `counts` holds.
    pub fn on(&self, counts: impl Fn(NodeId) -> bool) -> Duration {
        let times = self.iter().filter(|(node, _)| counts(*node));
        times.fold(Duration::ZERO, |sum, (_, time)| sum.saturating_add(time))
    }

    /// All of it.
    pub fn total(&self) -> Duration {
        self.on(|_| true)
    }

    /// The node with most of it, the lowest of several; `None` where there is none.
    pub fn most(&self) -> Option<NodeId> {
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
    fn the_node_with_most_time() {
        assert_eq!(spent(&[]).most(), None);
        assert_eq!(spent(&[(3, 0)]).most(), None, "nothing was spent there");
        assert_eq!(spent(&[(0, 10), (1, 20), (2, 20)]).most(), Some(NodeId(1)));
    }

    #[test]
    fn sums_by_node() {
        let mut all = spent(&[(0, 10), (1, 20)]);
        all.add_all(&spent(&[(1, 5)]));
        assert_eq!(all.on(|node| node == NodeId(1)), Duration::from_millis(25));
        assert_eq!(all.total(), Duration::from_millis(35));
        let hours = spent(&[(0, u64::MAX), (1, u64::MAX)]);
        assert!(hours.total() > Duration::from_millis(u64::MAX));
    }
}
