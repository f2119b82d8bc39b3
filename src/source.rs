//! Observes one machine: the running one, or a recorded one.
//!
//! The two differ in [`Root`], in where NVML's answers come from, and in how memory is read (`memory`). All else is the same
//! code.

mod archive;
mod audit_file;
mod cpuset;
mod drm;
mod drm_users;
mod gpus;
mod interrupt;
mod kfd;
mod memory;
mod named_file;
mod nvml;
mod nvml_processes;
mod processes;
mod procfs;
mod root;
mod selection;
mod settings;
mod snapshot;
mod syscalls;
mod sysfs;
mod tally;
mod topology_file;
mod tree;
mod users;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::SystemTime;

pub use audit_file::{AuditFileError, is_recording, read_audit, read_expected};
pub use memory::MemoryReading;
pub use root::{Root, Tap};
pub use snapshot::SnapshotError;
pub use topology_file::{TopologyFileError, read_topology_file};
pub use tree::{Entry, Tree};
pub use window::watch;

use memory::MemoryReader;

use crate::model::driver::DriverAnswer;
use crate::model::process::Pid;
use crate::model::{Host, Machine, Origin};
use crate::parse::snapshot::Manifest;

/// The machine to observe.
#[derive(Debug)]
pub struct Source {
    root: Root,
    driver: Driver,
    manifest: Manifest,
    memory: MemoryReading,
}

/// Where NVML's answers come from.
#[derive(Debug)]
enum Driver {
    /// The library, at this path or where the system has it.
    Library(Option<PathBuf>),
    /// A recording's `nvml.json`.
    Recorded(DriverAnswer),
}

impl Driver {
    fn answer(&self) -> DriverAnswer {
        match self {
            Self::Library(path) => nvml::ask(path.as_deref()),
            Self::Recorded(answer) => answer.clone(),
        }
    }
}

impl Source {
    /// The machine that the program runs on. `nvml` names the library where it is not found by itself.
    pub fn live(nvml: Option<PathBuf>) -> Self {
        Self {
            root: Root::live(),
            driver: Driver::Library(nvml),
            manifest: Manifest::default(),
            memory: MemoryReading::default(),
        }
    }

    /// The same, keeping all that is read, for a recording: whoever replays it gets every page.
    pub fn live_tapped(nvml: Option<PathBuf>) -> Self {
        let mut source = Self::live(nvml).reading_memory(MemoryReading::Exact);
        source.root = source.root.tapped();
        source
    }

    /// Reads memory in another way than by default.
    pub fn reading_memory(mut self, how: MemoryReading) -> Self {
        self.memory = how;
        self
    }
}

/// A machine as it was observed, with what a recording needs besides.
#[derive(Debug)]
pub struct Observation {
    /// What was seen.
    pub machine: Machine,
    /// NVML's answers as they came.
    pub driver: DriverAnswer,
    /// PIDs that NVML names and that are another process's here.
    pub strangers: BTreeSet<Pid>,
    /// All that was read, if the source was tapped.
    pub tap: Tap,
}

/// Which processes to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// None: the machine alone.
    Nobody,
    /// Those that hold a GPU context, with all that belongs to them. Of a recording that was made of named
    /// processes, these.
    GpuUsers,
    /// These and their descendants, whether or not a GPU is involved.
    Named(Vec<Pid>),
}

/// Looks at the machine once.
pub fn observe(source: Source, subjects: &Subjects) -> Observation {
    let Source {
        root,
        driver,
        manifest,
        memory,
    } = source;
    let mut gaps = Vec::new();
    let mut host = host(&root, &manifest);
    let driver = driver.answer();
    host.driver_version = driver.driver_version.clone();
    let topology = sysfs::read_topology(&root, &mut gaps);
    let (mut gpus, devices) = gpus::read_gpus(&root, &driver, &mut gaps);
    let named: Vec<Pid> = match subjects {
        Subjects::Named(pids) => pids.clone(),
        Subjects::GpuUsers => manifest.named.iter().copied().map(Pid).collect(),
        Subjects::Nobody => Vec::new(),
    };
    let mut strangers: BTreeSet<Pid> = manifest.strangers.iter().copied().map(Pid).collect();
    let (processes, orphans) = match subjects {
        Subjects::Nobody => (Vec::new(), BTreeSet::new()),
        _ => {
            let unseen = &manifest.unseen;
            let choice =
                processes::choose(&root, &mut gpus, &named, &mut strangers, unseen, &mut gaps);
            let memory = MemoryReader::new(memory);
            processes::read_processes(&root, choice, &named, &memory, &mut gaps)
        }
    };
    let settings = settings::read_settings(&root, &topology, &mut gaps);
    let users = user_names(&root, &manifest);
    let machine = Machine {
        host,
        topology,
        gpus,
        devices,
        processes,
        named,
        orphans,
        kernel: settings,
        window: None,
        users,
        gaps,
    };
    Observation {
        machine,
        driver,
        strangers,
        tap: root.into_tap(),
    }
}

fn host(root: &Root, manifest: &Manifest) -> Host {
    let (hostname, recorded_at, origin) = if root.is_live() {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        (
            sysinfo::System::host_name(),
            Some(now.to_string()),
            Origin::Live,
        )
    } else {
        let Manifest {
            hostname,
            recorded_at,
            ..
        } = manifest.clone();
        (hostname, recorded_at, Origin::Snapshot)
    };
    Host {
        hostname,
        kernel: procfs::read_kernel(root),
        recorded_at,
        started: procfs::read_boot_time(root),
        origin,
        driver_version: None,
    }
}

fn user_names(root: &Root, manifest: &Manifest) -> BTreeMap<u32, String> {
    if !root.is_live() {
        return manifest.users.clone();
    }
    let users = sysinfo::Users::new_with_refreshed_list();
    let named = users
        .iter()
        .map(|user| (**user.id(), user.name().to_owned()));
    named.collect()
}
