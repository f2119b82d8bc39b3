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

/// A step of [`ProcessTree::walk_down`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Before the children.
    Enter,
    /// After them.
    Leave,
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

    /// A value for each process that follows from what is above it: `step` makes it of the parent's value and the parent. A
    /// process without a known parent has `start`. The work is linear, for a long chain too.
    pub(crate) fn fold_down<T: Clone>(
        &self,
        start: &T,
        mut step: impl FnMut(&T, Pid) -> T,
    ) -> BTreeMap<Pid, T> {
        let mut values: BTreeMap<Pid, T> = BTreeMap::new();
        for pid in self.parent.keys() {
            // A recorded tree may contain a cycle: it is cut.
            let (mut path, mut seen) = (Vec::new(), BTreeSet::new());
            let mut at = Some(*pid);
            while let Some(next) = at.filter(|at| !values.contains_key(at) && seen.insert(*at)) {
                path.push(next);
                at = self.parent(next);
            }
            for pid in path.into_iter().rev() {
                let parent = self.parent(pid);
                let above = parent.and_then(|parent| Some((values.get(&parent)?, parent)));
                let value = above.map_or_else(|| start.clone(), |(of, parent)| step(of, parent));
                values.insert(pid, value);
            }
        }
        values
    }

    /// For each process the nearest known ancestor that matches.
    pub(crate) fn nearest_above(&self, matches: impl Fn(Pid) -> bool) -> BTreeMap<Pid, Pid> {
        let step = |nearest: &Option<Pid>, parent| match matches(parent) {
            true => Some(parent),
            false => *nearest,
        };
        let nearest = self.fold_down(&None, step).into_iter();
        nearest
            .filter_map(|(pid, nearest)| Some((pid, nearest?)))
            .collect()
    }

    /// Goes down the whole tree, each process before its children: `enter` is called before them, `leave` after them. The work is
    /// linear.
    pub(crate) fn walk_down(&self, mut visit: impl FnMut(Pid, Step)) {
        let is_top = |pid: &&Pid| self.parent(**pid).is_none();
        let tops = self.parent.keys().filter(is_top);
        // A cycle of a recorded tree has no top: it is cut at its lowest PID.
        let mut seen = BTreeSet::new();
        for top in tops.chain(self.parent.keys()) {
            let mut open = vec![(*top, Step::Enter)];
            while let Some((pid, step)) = open.pop() {
                if step == Step::Leave {
                    visit(pid, step);
                } else if seen.insert(pid) {
                    visit(pid, step);
                    open.push((pid, Step::Leave));
                    let known = self.children(pid).iter();
                    open.extend(known.map(|child| (*child, Step::Enter)));
                }
            }
        }
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
        // Whether the chain above each launcher reaches PID 1: each is gone up once.
        let mut launchers: BTreeMap<Pid, bool> = BTreeMap::new();
        let mut is_init_inside = false;
        for trainer in trainers {
            let (mut path, mut at) = (Vec::new(), self.parent(trainer));
            let reaches_init = loop {
                match at {
                    None => break false,
                    Some(pid) if pid == trainer || is_boundary(pid) => break false,
                    Some(Pid(1)) => break true,
                    Some(pid) => {
                        if let Some(known) = launchers.get(&pid) {
                            break *known;
                        }
                        launchers.insert(pid, false);
                        path.push(pid);
                    }
                }
                at = at.and_then(|pid| self.parent(pid));
            };
            launchers.extend(path.into_iter().map(|pid| (pid, reaches_init)));
            is_init_inside =
                is_init_inside || (reaches_init && facts.groups(Pid(1)) == facts.groups(trainer));
        }
        let mut launchers: BTreeSet<Pid> = launchers.into_keys().collect();
        if is_init_inside {
            launchers.insert(Pid(1));
            let above = self.ancestors(Pid(1)).into_iter();
            launchers.extend(above.take_while(|pid| !is_boundary(*pid)));
        }
        launchers
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn tree(pairs: &[(u32, u32)]) -> ProcessTree {
        ProcessTree::new(pairs.iter().map(|(pid, ppid)| (Pid(*pid), Pid(*ppid))))
    }

    #[test]
    fn a_walk_down_enters_each_process_once_and_leaves_it_after_its_children() {
        // A chain, a second top, and a cycle below which another process is.
        let tree = tree(&[(20, 10), (30, 20), (40, 9), (51, 52), (52, 51), (53, 52)]);
        let (mut path, mut entered) = (Vec::new(), Vec::new());
        tree.walk_down(|pid, step| match step {
            Step::Enter => {
                path.push(pid.0);
                entered.push(path.clone());
            }
            Step::Leave => assert_eq!(path.pop(), Some(pid.0)),
        });
        let expected: [&[u32]; 6] = [&[20], &[20, 30], &[40], &[51], &[51, 52], &[51, 52, 53]];
        entered.sort();
        assert_eq!(entered, expected);
        assert_eq!(path, [0; 0]);
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
    fn a_long_chain_is_gone_up_once() {
        const LENGTH: u32 = 20_000;
        let chain = ProcessTree::new((2..LENGTH).map(|pid| (Pid(pid), Pid(pid - 1))));
        let mut steps = 0;
        let depth = chain.fold_down(&0, |above, _| {
            steps += 1;
            above + 1
        });
        assert_eq!((depth[&Pid(LENGTH - 1)], steps), (LENGTH - 3, LENGTH - 3));
        let asked = Cell::new(0);
        let even = |pid: Pid| {
            asked.set(asked.get() + 1);
            pid.0.is_multiple_of(2)
        };
        let nearest = chain.nearest_above(even);
        assert_eq!(nearest[&Pid(9)], Pid(8));
        assert_eq!((nearest[&Pid(8)], nearest.get(&Pid(2))), (Pid(6), None));
        assert_eq!(asked.get(), LENGTH - 3);
        let counter = Counter::default();
        let launchers = chain.launchers((2..LENGTH).map(Pid), &counter);
        assert_eq!(launchers.len() as u32, LENGTH - 3);
        assert!(counter.0.get() < 2 * LENGTH, "{}", counter.0.get());
    }

    /// Counts how often a fact is asked for.
    #[derive(Default)]
    struct Counter(Cell<u32>);

    impl ProgramFacts for Counter {
        fn name(&self, _: Pid) -> &str {
            self.0.set(self.0.get() + 1);
            "python3"
        }

        fn command(&self, _: Pid) -> Option<Vec<String>> {
            None
        }

        fn groups(&self, _: Pid) -> Option<Vec<ControlGroup>> {
            self.0.set(self.0.get() + 1);
            None
        }
    }

    #[test]
    fn a_cycle_ends() {
        let tree = tree(&[(10, 20), (20, 10)]);
        assert_eq!(tree.ancestors(Pid(10)), [Pid(20)]);
        assert_eq!(tree.nearest_above(|_| true)[&Pid(10)], Pid(20));
        let launchers = tree.launchers([Pid(10)], &Counter::default());
        assert_eq!(launchers, [Pid(20)].into());
        assert_eq!(tree.above([Pid(10)]), [10, 20].map(Pid).into());
        assert_eq!(tree.with_descendants([Pid(10)]), [10, 20].map(Pid).into());
    }
}
