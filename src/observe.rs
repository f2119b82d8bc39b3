//! Observes one machine: the running one, or a recorded one.
//!
//! The two differ in [`Root`], in where NVML's answers come from, and in how memory is read (`memory`). All else is the same
//! code.

pub mod audit_file;
pub mod gpu;
pub mod kernel_settings;
pub mod memory;
pub mod node_files;
pub mod patience;
pub mod process;
pub mod root;
pub mod selection;
pub mod sysfs;
pub mod topology_file;
pub mod topology_xml;
pub mod watch;

use crate::observe::gpu::gpus;
use crate::observe::process::{processes, procfs, user_names};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::machine::nvml_answer::DriverAnswer;
use crate::machine::{Host, Machine, Origin};
pub use crate::observe::audit_file::{AuditFileError, is_recording, read_audit, read_expected};
use crate::observe::gpu::answered::{Stats, only_of_then, wait_for_driver};
use crate::observe::gpu::nvml_child::NvmlClient;
pub use crate::observe::gpu::nvml_child::{Invocation, answer};
use crate::observe::memory::MemoryReader;
pub use crate::observe::memory::MemoryReading;
pub use crate::observe::patience::{BadPatience, Patience};
use crate::observe::process::readers::{Deadline, Readers};
pub use crate::observe::process::user_names::user_number;
use crate::observe::root::manifest::Manifest;
pub use crate::observe::root::snapshot::SnapshotError;
pub use crate::observe::root::tree::{Entry, Tree};
pub use crate::observe::root::{Root, Tap};
pub use crate::observe::topology_file::{TopologyFileError, read_topology_file};
pub use crate::observe::watch::window::watch;
use crate::units::Pid;

/// The machine to observe.
#[derive(Debug)]
pub struct Source {
    root: Arc<Root>,
    driver: Driver,
    manifest: Manifest,
    memory: MemoryReading,
    /// How long an observation may take.
    deadline: Duration,
}

/// Where NVML's answers come from.
#[derive(Debug)]
enum Driver {
    /// The library, at this path or where the system has it.
    Library(NvmlClient),
    /// A recording's `nvml.json`.
    Recorded(DriverAnswer),
}

impl Source {
    /// How long a look may take where nobody says.
    pub const USUAL_DEADLINE: Duration = Duration::from_secs(30);

    fn new(root: Root, driver: Driver, manifest: Manifest) -> Self {
        Self {
            root: Arc::new(root),
            driver,
            manifest,
            memory: MemoryReading::default(),
            deadline: Self::USUAL_DEADLINE,
        }
    }

    /// The machine that the program runs on. `nvml` names the library where it is not found by itself. It is asked in this
    /// process: [`Source::asking_through`] is the safer way.
    pub fn live(nvml: Option<PathBuf>) -> Self {
        Self::of(Root::live(), nvml)
    }

    /// The same, keeping all that is read, for a recording: whoever replays it gets every page.
    pub fn live_tapped(nvml: Option<PathBuf>) -> Self {
        Self::of(Root::live().tapped(), nvml).reading_memory(MemoryReading::Exact)
    }

    fn of(live: Root, nvml: Option<PathBuf>) -> Self {
        let asker = NvmlClient {
            library: nvml,
            program: None,
            patience: Patience::default(),
        };
        Self::new(live, Driver::Library(asker), Manifest::default())
    }

    /// Has NVML asked by another process, which is to call [`answer`] with the last two or three of its arguments: whatever
    /// the library does to it, this one goes on.
    pub fn asking_through(mut self, program: Invocation) -> Self {
        if let Driver::Library(asker) = &mut self.driver {
            asker.program = Some(program);
        }
        self
    }

    /// What is not known by then, from the beginning of a look on, is missing.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How long single processes and the driver of the running machine may take to answer. The deadline still holds. A
    /// recording has nothing that is waited for, and what it says about it stays as it is.
    pub fn patience(mut self, patience: Patience) -> Self {
        // It is shared only once an observation has begun.
        if let Some(root) = Arc::get_mut(&mut self.root)
            && root.is_live()
        {
            root.set_patience(patience);
        }
        if let Driver::Library(client) = &mut self.driver {
            client.patience = patience;
        }
        self
    }

    /// How the memory of running processes is read.
    pub fn reading_memory(mut self, memory: MemoryReading) -> Self {
        self.memory = memory;
        self
    }

    /// Asks the driver, while `stat` of all processes and, meanwhile, whatever `besides` reads are read.
    fn ask<T>(
        &self,
        deadline: Deadline,
        subjects: &Subjects,
        besides: impl FnOnce() -> T,
    ) -> (DriverAnswer, Stats, T) {
        let asking = match &self.driver {
            Driver::Library(asker) => Ok(asker.clone().start()),
            Driver::Recorded(answer) => Err(answer.clone()),
        };
        let read = besides();
        let mut stats = match subjects {
            Subjects::Nobody => Ok(BTreeMap::new()),
            _ => procfs::read_stats(&self.root),
        };
        let answer = match asking {
            Ok(asking) => {
                let answered = wait_for_driver(asking, deadline, &self.root, &mut stats);
                only_of_then(answered, &stats)
            }
            Err(answer) => answer,
        };
        (answer, stats, read)
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
    /// Whether the time for it was over before all was read.
    pub is_late: bool,
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
    let deadline = Deadline::within(source.deadline);
    let mut gaps = Vec::new();
    let (driver, stats, topology) = source.ask(deadline, subjects, || {
        sysfs::read_topology(&source.root, &mut gaps)
    });
    let Source {
        root,
        manifest,
        memory,
        ..
    } = source;
    let readers = Readers::new(root.clone(), deadline);
    let mut host = host(&root, &manifest);
    host.driver_version = driver.driver_version.clone();
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
            let whom = processes::choose(
                &readers,
                stats,
                &mut gpus,
                &named,
                &mut strangers,
                unseen,
                &mut gaps,
            );
            processes::read_processes(&readers, whom, &named, MemoryReader::new(memory), &mut gaps)
        }
    };
    let settings = kernel_settings::read_settings(&root, &topology, &mut gaps);
    let users = match root.is_live() {
        true => {
            let uids = processes.iter().filter_map(|process| process.uid);
            // Numbers do where no names come.
            user_names::names(uids.collect(), deadline.left(), root.patience())
        }
        false => manifest.users.clone(),
    };
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
        tap: root.take_tap(),
        is_late: deadline.is_over(),
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
