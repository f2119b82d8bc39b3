//! Which processes matter.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::jobs::framework::task;
use crate::jobs::process_tree::{
    DATA_LOADER, ProcessTree, bounds_job, is_forkserver, is_made_to_work, serves_gpus,
};
use crate::observe::process::pool::{Readers, lock};
use crate::observe::process::stat::Stat;
use crate::observe::process::{cgroup, cmdline};
use crate::units::Pid;

/// Those that matter.
#[derive(Debug, Default)]
pub struct Selection {
    /// All of them.
    pub pids: BTreeSet<Pid>,
    /// Those of them that look like somebody's workers and hang on an init, with what descends from them.
    pub orphans: BTreeSet<Pid>,
}

/// Of those that hold a GPU: with their descendants, the launchers above them and the launchers' own helpers, and
/// orphans. Of named ones: with their descendants, and what leads up to a trainer.
pub(crate) fn select(
    readers: &Readers,
    stats: &BTreeMap<Pid, Stat>,
    holders: &BTreeSet<Pid>,
    named: &[Pid],
) -> Selection {
    let candidates = Candidates {
        readers,
        commands: RefCell::default(),
        stats,
        family: ProcessTree::new(stats.iter().map(|(pid, stat)| (*pid, stat.ppid))),
    };
    match named {
        [] => candidates.of_holders(holders),
        named => Selection {
            pids: candidates.of_named(named, holders),
            orphans: BTreeSet::new(),
        },
    }
}

struct Candidates<'a> {
    readers: &'a Readers,
    /// argv of those for whom it was asked.
    commands: RefCell<BTreeMap<Pid, Vec<String>>>,
    stats: &'a BTreeMap<Pid, Stat>,
    family: ProcessTree,
}

impl Candidates<'_> {
    fn of_named(&self, named: &[Pid], holders: &BTreeSet<Pid>) -> BTreeSet<Pid> {
        let mut pids = self.family.with_descendants(named.iter().copied());
        for pid in named {
            let ancestors = self.family.ancestors(*pid);
            if let Some(trainer) = ancestors.iter().position(|pid| holders.contains(pid)) {
                pids.extend(&ancestors[..=trainer]);
            }
        }
        pids
    }

    fn of_holders(&self, holders: &BTreeSet<Pid>) -> Selection {
        let mut pids = self.family.with_descendants(holders.iter().copied());
        let of_jobs = holders.iter().filter(|pid| !serves_gpus(self.name(**pid)));
        let launchers: BTreeSet<Pid> = of_jobs.flat_map(|pid| self.launchers(*pid)).collect();
        for launcher in &launchers {
            let helpers = self.family.children(*launcher).iter().filter(|pid| {
                let command = self.command(**pid);
                let task = task(self.name(**pid), &command);
                task.is_some_and(|task| task.is_helper) || is_forkserver(&command)
            });
            pids.extend(helpers);
        }
        pids.extend(&launchers);
        let orphans = match holders.is_empty() {
            true => BTreeSet::new(),
            false => self.orphans(&pids, &launchers, holders),
        };
        pids.extend(&orphans);
        Selection { pids, orphans }
    }

    /// The ancestors of a trainer that belong to its job.
    fn launchers(&self, holder: Pid) -> impl Iterator<Item = Pid> {
        let ancestors = self.family.ancestors(holder).into_iter();
        ancestors.take_while(move |pid| !self.is_outside(*pid, holder))
    }

    /// Whether a process above a job is none of it.
    fn is_outside(&self, pid: Pid, holder: Pid) -> bool {
        bounds_job(self.name(pid), &self.command(pid)) || self.is_init_of_another_group(pid, holder)
    }

    /// Whether this is the first process and of another control group than the job: an init. In a container
    /// the first process is in the job's own group, and may well be its launcher.
    fn is_init_of_another_group(&self, pid: Pid, holder: Pid) -> bool {
        let group = |pid| cgroup::read_cgroup(self.readers.root(), pid);
        pid == Pid(1) && group(pid) != group(holder)
    }

    /// Processes whose parent has ended: they look like workers, or like forks of a trainer in its own session, and hang
    /// on the first process, a session, a service manager or a container runtime. A job's launcher may have adopted some
    /// too, and starts others itself: there the name of a data loader alone is believed.
    fn orphans(
        &self,
        selected: &BTreeSet<Pid>,
        launchers: &BTreeSet<Pid>,
        holders: &BTreeSet<Pid>,
    ) -> BTreeSet<Pid> {
        let of_holder = |pid: &Pid| Some((self.stats.get(pid)?.session, self.command(*pid)));
        let of_holders: BTreeSet<(Pid, Vec<String>)> =
            holders.iter().filter_map(of_holder).collect();
        let others = || {
            let others = self.stats.iter();
            others.filter(|(pid, stat)| !selected.contains(pid) && !launchers.contains(&stat.ppid))
        };
        self.read_commands(others().map(|(_, stat)| stat.ppid).collect());
        let mut adopters: BTreeMap<Pid, bool> = BTreeMap::new();
        let mut is_adopted = |stat: &Stat| {
            let adopts = || {
                let parent = stat.ppid;
                parent == Pid(1)
                    || !self.stats.contains_key(&parent)
                    || bounds_job(self.name(parent), &self.command(parent))
            };
            *adopters.entry(stat.ppid).or_insert_with(adopts)
        };
        let adopted: BTreeSet<Pid> = others()
            .filter(|(_, stat)| is_adopted(stat))
            .map(|(pid, _)| *pid)
            .collect();
        self.read_commands(adopted.clone());
        let mut orphans = Vec::new();
        for (pid, stat) in self.stats.iter().filter(|(pid, _)| !selected.contains(pid)) {
            let is_orphan = if launchers.contains(&stat.ppid) {
                stat.name == DATA_LOADER
            } else if adopted.contains(pid) {
                let command = self.command(*pid);
                let is_fork = || of_holders.contains(&(stat.session, command.clone()));
                is_made_to_work(&stat.name, &command) || (stat.session != Pid(0) && is_fork())
            } else {
                false
            };
            if is_orphan {
                orphans.push(*pid);
            }
        }
        let mut orphans = self.family.with_descendants(orphans);
        orphans.retain(|pid| !selected.contains(pid));
        orphans
    }

    fn name(&self, pid: Pid) -> &str {
        self.stats.get(&pid).map_or("", |stat| &stat.name)
    }

    /// Empty where it cannot be read, or not in time.
    fn command(&self, pid: Pid) -> Vec<String> {
        self.read_commands(BTreeSet::from([pid]));
        let commands = self.commands.borrow();
        commands.get(&pid).cloned().unwrap_or_default()
    }

    /// Reads the argv of several at once, if they have one.
    fn read_commands(&self, mut pids: BTreeSet<Pid>) {
        let mut commands = self.commands.borrow_mut();
        pids.retain(|pid| self.stats.contains_key(pid) && !commands.contains_key(pid));
        if pids.is_empty() {
            // Nobody is woken for nothing: each trainer of thousands in a chain asks for all above it.
            return;
        }
        let read = self.readers.each(pids, |root, pid, command| {
            let read = cmdline::read_command(root, pid).unwrap_or_default();
            *lock(command) = read;
        });
        commands.extend(read.into_iter().map(|(pid, read)| (pid, read.found)));
    }
}
