//! Who works for which GPU.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::audit::place::home::GpuPlace;
pub use crate::document::words::Role;
use crate::jobs::framework::{Task, task};
use crate::jobs::process_tree::{DATA_LOADER, ProcessTree, is_forkserver, serves_gpus};
use crate::jobs::ties::{Tied, Trainers};
use crate::machine::gpu::{Gpu, Instance};
use crate::machine::process::Process;
use crate::units::Pid;

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
    /// Its environment means that one, and it holds the driver open: a hint.
    Environ,
}

impl fmt::Display for GpuSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvml => "nvml",
            Self::Fd => "fd",
            Self::Kfd => "kfd",
            Self::Drm => "drm",
            Self::Environ => "environ",
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
    /// It holds pipes that no other trainer has.
    Pipe,
    /// Of a trainer, by its environment alone. Of a worker: it has its trainer's RANK in the same job.
    Environ,
    /// It is in its trainer's session and control groups.
    Session,
    /// It maps PyTorch's shared memory that its trainer made, or its trainer maps what it made.
    Shm,
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
            Self::Pipe => "pipe",
            Self::Environ => "environ",
            Self::Session => "session",
            Self::Shm => "shm",
        })
    }
}

/// A process's part in a job.
#[derive(Debug, Clone, Default)]
pub struct Membership {
    /// `None` for a process that was named on the command line and has to do with no GPU.
    pub role: Option<Role>,
    /// The GPUs that it works for, by index. Empty for a launcher.
    pub gpus: Vec<u32>,
    /// The MIG instances that it works for, each with its GPU's index.
    pub instances: Vec<(u32, Instance)>,
    /// How these are known.
    pub gpu_source: Option<GpuSource>,
    /// The trainer that it works for; its own PID for a trainer.
    pub trainer: Option<Pid>,
    /// How that is known.
    pub attribution: Option<Attribution>,
    /// Why it is not known, of a worker that is somebody's.
    pub doubt: Option<String>,
    /// What a framework's name for it tells.
    pub task: Option<Task>,
}

impl Membership {
    /// Whether it has a place to be at: that of its GPU or, without one, the node that it runs on. A worker that is no
    /// trainer's has none.
    pub fn is_judged(&self) -> bool {
        match self.role {
            Some(Role::Launcher | Role::Helper) => false,
            Some(Role::Worker) => self.trainer.is_some() || self.doubt.is_some(),
            Some(Role::Trainer) | None => true,
        }
    }
}

/// Finds every process's part.
pub fn attribute(
    processes: &[Process],
    orphans: &BTreeSet<Pid>,
    gpus: &[GpuPlace],
) -> BTreeMap<Pid, Membership> {
    let mut trainers = BTreeMap::new();
    let mut servers = BTreeMap::new();
    for process in processes {
        let Some(held) = Held::by(process.pid, gpus) else {
            continue;
        };
        let holders = match serves_gpus(&process.name) {
            true => &mut servers,
            false => &mut trainers,
        };
        holders.insert(process.pid, held);
    }
    let people = People::new(processes, orphans, trainers, servers);
    let parts = processes.iter().map(|process| {
        let command = process.command.as_deref().unwrap_or_default();
        let part = Membership {
            task: task(&process.name, command),
            ..people.membership(process)
        };
        (process.pid, part)
    });
    parts.collect()
}

/// The tree of these processes.
pub fn family(processes: &[Process]) -> ProcessTree {
    ProcessTree::new(processes.iter().map(|process| (process.pid, process.ppid)))
}

/// What a process holds of GPUs.
struct Held {
    gpus: Vec<u32>,
    instances: Vec<(u32, Instance)>,
    source: GpuSource,
}

impl Held {
    /// `None` for one that holds none.
    fn by(pid: Pid, gpus: &[GpuPlace]) -> Option<Self> {
        let uses = gpus
            .iter()
            .filter_map(|place| Some((&place.gpu, place.used_by(pid)?)));
        let (gpus, sources): (Vec<&Gpu>, Vec<GpuSource>) = uses.unzip();
        let instances = gpus.iter().flat_map(|gpu| {
            let contexts = gpu
                .contexts
                .iter()
                .flatten()
                .filter(|context| context.pid == pid);
            contexts.filter_map(|context| Some((gpu.index, context.instance?)))
        });
        // A context may stand in two lists of the driver's.
        let instances: BTreeSet<_> = instances.collect();
        Some(Self {
            instances: instances.into_iter().collect(),
            gpus: gpus.iter().map(|gpu| gpu.index).collect(),
            source: *sources.first()?,
        })
    }

    /// The part of a process that works for these.
    fn membership(&self, role: Role, trainer: Option<Pid>, attribution: Attribution) -> Membership {
        Membership {
            role: Some(role),
            gpus: self.gpus.clone(),
            instances: self.instances.clone(),
            gpu_source: Some(self.source),
            trainer,
            attribution: Some(attribution),
            ..Membership::default()
        }
    }
}

impl From<GpuSource> for Attribution {
    /// That of one that holds the GPU itself.
    fn from(source: GpuSource) -> Self {
        match source {
            GpuSource::Nvml => Self::Nvml,
            GpuSource::Fd => Self::Fd,
            GpuSource::Kfd => Self::Kfd,
            GpuSource::Drm => Self::Drm,
            GpuSource::Environ => Self::Environ,
        }
    }
}

/// All processes, with what is needed to place one among them.
struct People<'a> {
    by_pid: BTreeMap<Pid, &'a Process>,
    /// Those that hold a GPU.
    trainers: BTreeMap<Pid, Held>,
    /// Those that hold one to serve or to watch others.
    servers: BTreeMap<Pid, Held>,
    /// The nearest trainer above each process, and how it is known.
    trainer_of: BTreeMap<Pid, (Pid, Attribution)>,
    launchers: BTreeSet<Pid>,
    family: ProcessTree,
    orphans: &'a BTreeSet<Pid>,
    /// Those whose trainer is not known, with the reason where they are somebody's.
    strays: BTreeMap<Pid, Option<String>>,
}

impl<'a> People<'a> {
    fn new(
        processes: &'a [Process],
        orphans: &'a BTreeSet<Pid>,
        trainers: BTreeMap<Pid, Held>,
        servers: BTreeMap<Pid, Held>,
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
            family: family(processes),
            orphans,
            strays: BTreeMap::new(),
        };
        let trainers: Vec<Pid> = people.trainers.keys().copied().collect();
        for trainer in &trainers {
            people.descend(*trainer, *trainer, Attribution::Ancestor);
        }
        people.launchers = people.family.above(people.trainers.keys().copied());
        people.adopt();
        people
    }

    /// Gives all below a process to a trainer, down to the next trainers.
    fn descend(&mut self, top: Pid, trainer: Pid, known: Attribution) {
        let mut open = vec![(top, known)];
        while let Some((parent, known)) = open.pop() {
            let known = match self.is_forkserver(parent) {
                true => Attribution::Forkserver,
                false => known,
            };
            for child in self.family.children(parent) {
                let is_trainer = self.trainers.contains_key(child);
                if !is_trainer && !self.trainer_of.contains_key(child) {
                    self.trainer_of.insert(*child, (trainer, known));
                    open.push((*child, known));
                }
            }
        }
    }

    /// Finds the trainers of workers that hang on an init, of each family the eldest first.
    fn adopt(&mut self) {
        let of_pids = |pids: Vec<Pid>| {
            let found = pids
                .into_iter()
                .filter_map(|pid| self.by_pid.get(&pid).copied());
            found.collect::<Vec<_>>()
        };
        let trainers = Trainers::new(of_pids(self.trainers.keys().copied().collect()));
        let by_age = |orphan: &&Process| (orphan.start_time_ticks, orphan.pid);
        let mut orphans = of_pids(self.orphans.iter().copied().collect());
        orphans.sort_by_key(by_age);
        for orphan in orphans {
            let pid = orphan.pid;
            if self.trainers.contains_key(&pid) || self.trainer_of.contains_key(&pid) {
                continue;
            }
            match trainers.of(orphan) {
                Tied::To(trainer, by) => {
                    self.trainer_of.insert(pid, (trainer, by));
                    self.descend(pid, trainer, Attribution::Ancestor);
                }
                Tied::Torn(why) => drop(self.strays.insert(pid, Some(why))),
                Tied::ToNobody => drop(self.strays.insert(pid, None)),
            }
        }
    }

    fn membership(&self, process: &Process) -> Membership {
        let pid = process.pid;
        if let Some(held) = self.trainers.get(&pid) {
            return held.membership(Role::Trainer, Some(pid), held.source.into());
        }
        if let Some(held) = self.servers.get(&pid) {
            return held.membership(Role::Helper, None, held.source.into());
        }
        let is_helper = self.is_helper(process);
        let role = if is_helper {
            Role::Helper
        } else {
            Role::Worker
        };
        if let Some((trainer, attribution)) = self.trainer_of.get(&pid)
            && let Some(held) = self.trainers.get(trainer)
        {
            return held.membership(role, Some(*trainer), *attribution);
        }
        if let Some(doubt) = self.strays.get(&pid) {
            return Membership {
                role: Some(role),
                doubt: doubt.clone(),
                ..Membership::default()
            };
        }
        let is_launcher = self.launchers.contains(&pid);
        Membership {
            role: match is_helper {
                true => Some(Role::Helper),
                false => is_launcher.then_some(Role::Launcher),
            },
            ..Membership::default()
        }
    }

    fn is_helper(&self, process: &Process) -> bool {
        let command = process.command.as_deref().unwrap_or_default();
        task(&process.name, command).is_some_and(|task| task.is_helper)
            || self.is_forkserver(process.pid)
            || serves_gpus(&process.name)
    }

    /// The fork server's children have its command line, and are no fork servers: not those that call themselves data
    /// loaders, and not those whose parent has it too. An orphan's parent is not to be seen any more: it is one if it has
    /// such children itself.
    fn is_forkserver(&self, pid: Pid) -> bool {
        let process = |pid: &Pid| self.by_pid.get(pid).copied();
        let command = |pid: &Pid| process(pid).and_then(|process| process.command.as_deref());
        let (Some(process), Some(own)) = (process(&pid), command(&pid)) else {
            return false;
        };
        if process.name == DATA_LOADER || !is_forkserver(own) {
            return false;
        }
        let is_like = |pid: &Pid| command(pid) == Some(own);
        match self.orphans.contains(&pid) {
            true => self.family.children(pid).iter().any(is_like),
            false => !is_like(&process.ppid),
        }
    }
}
