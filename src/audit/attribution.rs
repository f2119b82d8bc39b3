//! Who works for which GPU.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::home::GpuPlace;
use crate::model::family::{Family, is_forkserver, is_resource_tracker, serves_gpus};
use crate::model::process::{Pid, Process};

/// What a process does in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Holds a GPU context.
    Trainer,
    /// Works for a trainer: loads its data.
    Worker,
    /// An ancestor of trainers.
    Launcher,
    /// Python's resource tracker or fork server; a server of GPUs, or what watches them.
    Helper,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trainer => "trainer",
            Self::Worker => "worker",
            Self::Launcher => "launcher",
            Self::Helper => "helper",
        })
    }
}

/// How it is known on which GPU a trainer works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuSource {
    /// NVML names it.
    Nvml,
    /// It holds that GPU's `/dev/nvidiaN` open clearly more often than any other's.
    Fd,
    /// AMD's KFD names it.
    Kfd,
    /// `fdinfo` of the DRM files that it has open tells of work there.
    Drm,
}

impl fmt::Display for GpuSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvml => "nvml",
            Self::Fd => "fd",
            Self::Kfd => "kfd",
            Self::Drm => "drm",
        })
    }
}

/// How it is known for whom a process works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribution {
    /// NVML names it.
    Nvml,
    /// By the files that it has open.
    Fd,
    /// AMD's KFD names it.
    Kfd,
    /// By what `fdinfo` tells of the DRM files that it has open.
    Drm,
    /// It descends from its trainer.
    Ancestor,
    /// It descends from its trainer's fork server.
    Forkserver,
}

impl fmt::Display for Attribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvml => "nvml",
            Self::Fd => "fd",
            Self::Kfd => "kfd",
            Self::Drm => "drm",
            Self::Ancestor => "ancestor",
            Self::Forkserver => "forkserver",
        })
    }
}

/// A process's part in a job.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// `None` for a process that was named on the command line and has to do with no GPU.
    pub role: Option<Role>,
    /// The GPUs that it works for, by index. Empty for a launcher.
    pub gpus: Vec<u32>,
    /// How these are known.
    pub gpu_source: Option<GpuSource>,
    /// The trainer that it works for; its own PID for a trainer.
    pub trainer: Option<Pid>,
    /// How that is known.
    pub attribution: Option<Attribution>,
}

/// Finds every process's part.
pub fn attribute(processes: &[Process], gpus: &[GpuPlace]) -> BTreeMap<Pid, Part> {
    let mut trainers = BTreeMap::new();
    let mut servers = BTreeMap::new();
    for process in processes {
        let uses = gpus.iter().filter_map(|place| {
            let source = place.used_by(process.pid)?;
            Some((place.gpu.index, source))
        });
        let (indexes, sources): (Vec<u32>, Vec<GpuSource>) = uses.unzip();
        let Some(source) = sources.first() else {
            continue;
        };
        let holders = match serves_gpus(&process.name) {
            true => &mut servers,
            false => &mut trainers,
        };
        holders.insert(process.pid, (indexes, *source));
    }
    let people = People::new(processes, trainers, servers);
    processes
        .iter()
        .map(|process| (process.pid, people.part(process)))
        .collect()
}

/// The tree of these processes.
pub fn family(processes: &[Process]) -> Family {
    Family::new(processes.iter().map(|process| (process.pid, process.ppid)))
}

/// All processes, with what is needed to place one among them.
struct People<'a> {
    by_pid: BTreeMap<Pid, &'a Process>,
    /// Those that hold a GPU, with its index and how that is known.
    trainers: BTreeMap<Pid, (Vec<u32>, GpuSource)>,
    /// Those that hold one to serve or to watch others.
    servers: BTreeMap<Pid, (Vec<u32>, GpuSource)>,
    /// The nearest trainer above each process, and how it is known.
    trainer_of: BTreeMap<Pid, (Pid, Attribution)>,
    launchers: BTreeSet<Pid>,
}

impl<'a> People<'a> {
    fn new(
        processes: &'a [Process],
        trainers: BTreeMap<Pid, (Vec<u32>, GpuSource)>,
        servers: BTreeMap<Pid, (Vec<u32>, GpuSource)>,
    ) -> Self {
        let mut people = Self {
            by_pid: processes
                .iter()
                .map(|process| (process.pid, process))
                .collect(),
            trainers,
            servers,
            trainer_of: BTreeMap::new(),
            launchers: BTreeSet::new(),
        };
        let family = family(processes);
        let trainers: Vec<Pid> = people.trainers.keys().copied().collect();
        for trainer in trainers {
            // Down to the next trainers.
            let mut open = vec![(trainer, Attribution::Ancestor)];
            while let Some((parent, known)) = open.pop() {
                let known = match people.is_forkserver(parent) {
                    true => Attribution::Forkserver,
                    false => known,
                };
                for child in family.children(parent) {
                    let is_trainer = people.trainers.contains_key(child);
                    if !is_trainer && !people.trainer_of.contains_key(child) {
                        people.trainer_of.insert(*child, (trainer, known));
                        open.push((*child, known));
                    }
                }
            }
        }
        people.launchers = family.above(people.trainers.keys().copied());
        people
    }

    fn part(&self, process: &Process) -> Part {
        let pid = process.pid;
        let holder = |(gpus, source): &(Vec<u32>, GpuSource), role, trainer| Part {
            role: Some(role),
            gpus: gpus.clone(),
            gpu_source: Some(*source),
            trainer,
            attribution: Some(match source {
                GpuSource::Nvml => Attribution::Nvml,
                GpuSource::Fd => Attribution::Fd,
                GpuSource::Kfd => Attribution::Kfd,
                GpuSource::Drm => Attribution::Drm,
            }),
        };
        if let Some(held) = self.trainers.get(&pid) {
            return holder(held, Role::Trainer, Some(pid));
        }
        if let Some(held) = self.servers.get(&pid) {
            return holder(held, Role::Helper, None);
        }
        let is_helper = self.is_helper(process);
        let role = if is_helper {
            Role::Helper
        } else {
            Role::Worker
        };
        if let Some((trainer, attribution)) = self.trainer_of.get(&pid)
            && let Some((gpus, source)) = self.trainers.get(trainer)
        {
            return Part {
                role: Some(role),
                gpus: gpus.clone(),
                gpu_source: Some(*source),
                trainer: Some(*trainer),
                attribution: Some(*attribution),
            };
        }
        let is_launcher = self.launchers.contains(&pid);
        Part {
            role: match is_helper {
                true => Some(Role::Helper),
                false => is_launcher.then_some(Role::Launcher),
            },
            ..Part::default()
        }
    }

    fn is_helper(&self, process: &Process) -> bool {
        let command = process.command.as_deref().unwrap_or_default();
        is_resource_tracker(command)
            || self.is_forkserver(process.pid)
            || serves_gpus(&process.name)
    }

    /// The fork server's children have its command line, and are no fork servers.
    fn is_forkserver(&self, pid: Pid) -> bool {
        let command = |pid| {
            self.by_pid
                .get(&pid)
                .and_then(|process| process.command.as_deref())
        };
        let parent = self
            .by_pid
            .get(&pid)
            .and_then(|process| command(process.ppid));
        command(pid).is_some_and(|own| is_forkserver(own) && parent != Some(own))
    }
}
