//! The process tree.

use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::is_job_boundary;
use crate::machine::{ControlGroup, Process};
use crate::units::Pid;

/// Parents and children of all known processes.
#[derive(Debug, Default)]
pub(crate) struct ProcessTree {
    parent: BTreeMap<Pid, Pid>,
    children: BTreeMap<Pid, Vec<Pid>>,
}

/// What decides whether a process belongs to the job below it. Selection reads these facts when they are asked for.
pub(crate) trait ProgramFacts {
    /// `comm`; empty for an unknown process.
    fn name(&self, pid: Pid) -> &str;
    /// argv; `None` where it is unknown.
    fn command(&self, pid: Pid) -> Option<Vec<String>>;
    /// `None` where they are unknown.
    fn groups(&self, pid: Pid) -> Option<Vec<ControlGroup>>;
}

impl ProcessTree {
    /// From (process, parent) pairs.
    pub(crate) fn new(pairs: impl IntoIterator<Item = (Pid, Pid)>) -> Self {
        let mut tree = Self::default();
        for (pid, ppid) in pairs {
            tree.parent.insert(pid, ppid);
            tree.children.entry(ppid).or_default().push(pid);
        }
        tree
    }

    pub(crate) fn of(processes: &[Process]) -> Self {
        Self::new(processes.iter().map(|process| (process.pid, process.ppid)))
    }

    /// All known processes, each with its parent, which may be unknown.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (Pid, Pid)> {
        self.parent.iter().map(|(pid, ppid)| (*pid, *ppid))
    }

    pub(crate) fn contains(&self, pid: Pid) -> bool {
        self.parent.contains_key(&pid)
    }

    /// The parent, if it is known itself.
    pub(crate) fn parent(&self, pid: Pid) -> Option<Pid> {
        let parent = self.parent.get(&pid).copied();
        parent.filter(|parent| self.contains(*parent))
    }

    /// The known ancestors, nearest first.
    pub(crate) fn ancestors(&self, pid: Pid) -> Vec<Pid> {
        // A recorded tree may contain a cycle.
        let mut seen = BTreeSet::from([pid]);
        let chain = std::iter::successors(self.parent(pid), |pid| self.parent(*pid));
        chain.take_while(|pid| seen.insert(*pid)).collect()
    }

    /// The nearest known ancestor that matches.
    pub(crate) fn nearest_above(&self, pid: Pid, matches: impl Fn(Pid) -> bool) -> Option<Pid> {
        let chain = std::iter::successors(self.parent(pid), |pid| self.parent(*pid));
        // A recorded tree may contain a cycle.
        let mut chain = chain.take(self.parent.len());
        chain.find(|above| matches(*above))
    }

    /// All known ancestors of any of `pids`.
    pub(crate) fn above(&self, pids: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
        let mut above = BTreeSet::new();
        for pid in pids {
            let mut at = self.parent(pid);
            while let Some(ancestor) = at.filter(|pid| above.insert(*pid)) {
                at = self.parent(ancestor);
            }
        }
        above
    }

    pub(crate) fn children(&self, pid: Pid) -> &[Pid] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// The known ones of `roots`, and all their descendants.
    pub(crate) fn with_descendants(&self, roots: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
        let mut found = BTreeSet::new();
        let mut open: Vec<Pid> = roots.into_iter().collect();
        while let Some(pid) = open.pop() {
            if self.contains(pid) && found.insert(pid) {
                open.extend(self.children(pid));
            }
        }
        found
    }

    /// The ancestors of trainers up to the boundary of their job. In a container, PID 1 is in the job's own control group
    /// and may be its launcher. Elsewhere it is an init.
    pub(crate) fn launchers(
        &self,
        trainers: impl IntoIterator<Item = Pid>,
        facts: &impl ProgramFacts,
    ) -> BTreeSet<Pid> {
        let mut boundaries: BTreeMap<Pid, bool> = BTreeMap::new();
        let mut is_boundary = |pid: Pid| {
            let decide = || is_job_boundary(facts.name(pid), facts.command(pid).as_deref());
            *boundaries.entry(pid).or_insert_with(decide)
        };
        let mut launchers = BTreeSet::new();
        for trainer in trainers {
            let is_outside = |pid: Pid| {
                is_boundary(pid) || (pid == Pid(1) && facts.groups(pid) != facts.groups(trainer))
            };
            let mut ancestors = self.ancestors(trainer);
            let end = ancestors.iter().copied().position(is_outside);
            ancestors.truncate(end.unwrap_or(ancestors.len()));
            launchers.extend(ancestors);
        }
        launchers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(pairs: &[(u32, u32)]) -> ProcessTree {
        ProcessTree::new(pairs.iter().map(|(pid, ppid)| (Pid(*pid), Pid(*ppid))))
    }

    #[test]
    fn ancestors_end_at_the_last_known_process() {
        let tree = tree(&[(30, 20), (20, 10), (10, 1)]);
        assert_eq!(tree.ancestors(Pid(30)), [Pid(20), Pid(10)]);
        assert_eq!(tree.above([Pid(30), Pid(20)]), [10, 20].map(Pid).into());
        assert_eq!(
            tree.with_descendants([Pid(20), Pid(99)]),
            [20, 30].map(Pid).into()
        );
    }

    #[test]
    fn a_cycle_ends() {
        let tree = tree(&[(10, 20), (20, 10)]);
        assert_eq!(tree.ancestors(Pid(10)), [Pid(20)]);
        assert_eq!(tree.above([Pid(10)]), [10, 20].map(Pid).into());
        assert_eq!(tree.with_descendants([Pid(10)]), [10, 20].map(Pid).into());
    }
}
