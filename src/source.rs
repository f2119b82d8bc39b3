//! Observes one machine: the running one, or a recorded one.
//!
//! The two differ in [`Root`] and in where NVML's answers come from. All else is the same code.

mod affinity;
mod answered;
mod archive;
mod asking;
mod cpuset;
mod drm;
mod drm_users;
mod gpus;
mod kfd;
mod nvml;
mod nvml_processes;
mod processes;
mod procfs;
mod readers;
mod root;
mod selection;
mod settings;
mod snapshot;
mod sysfs;
mod topology_file;
mod tree;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, SystemTime};

use answered::{only_of_then, wait_for_driver};
use asking::Asker;
pub use asking::{Invocation, answer};
pub use readers::Deadline;
use readers::Readers;
pub use root::{Root, Tap};
pub use snapshot::SnapshotError;
pub use topology_file::{TopologyFileError, read_topology_file};
pub use tree::{Entry, Tree};

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
    deadline: Deadline,
}

/// Where NVML's answers come from.
#[derive(Debug)]
enum Driver {
    /// The library, at this path or where the system has it.
    Library(Asker),
    /// A recording's `nvml.json`.
    Recorded(DriverAnswer),
}

impl Source {
    /// How long a look may take where nobody says.
    pub const USUAL_DEADLINE: Duration = Duration::from_secs(30);

    fn new(root: Root, driver: Driver, manifest: Manifest) -> Self {
        Self {
            root,
            driver,
            manifest,
            deadline: Deadline::within(Self::USUAL_DEADLINE),
        }
    }

    /// The machine that the program runs on. `nvml` names the library where it is not found by itself. It is asked in this
    /// process: [`Source::asking_through`] is the safer way.
    pub fn live(nvml: Option<PathBuf>) -> Self {
        let asker = Asker {
            library: nvml,
            program: None,
        };
        Self::new(Root::live(), Driver::Library(asker), Manifest::default())
    }

    /// Has NVML asked by another process, which is to call [`answer`] with the last two or three of its arguments: whatever
    /// the library does to it, this one goes on.
    pub fn asking_through(mut self, program: Invocation) -> Self {
        if let Driver::Library(asker) = &mut self.driver {
            asker.program = Some(program);
        }
        self
    }

    /// What is not known by then is missing.
    pub fn until(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same, keeping all that is read, for a recording.
    pub fn live_tapped(nvml: Option<PathBuf>) -> Self {
        let mut source = Self::live(nvml);
        source.root = source.root.tapped();
        source
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
        deadline,
    } = source;
    // The driver is asked while the files are read.
    let asking = match driver {
        Driver::Library(asker) => Ok(asker.start()),
        Driver::Recorded(answer) => Err(answer),
    };
    let is_asked_for_users = root.is_live() && *subjects != Subjects::Nobody;
    let users = is_asked_for_users.then(ask_for_users);
    let root = Arc::new(root);
    let readers = Readers::new(root.clone(), deadline);
    let mut gaps = Vec::new();
    let mut host = host(&root, &manifest);
    let topology = sysfs::read_topology(&root, &mut gaps);
    let mut stats = match subjects {
        Subjects::Nobody => Ok(BTreeMap::new()),
        _ => procfs::read_stats(&root),
    };
    let driver = match asking {
        Ok(asking) => {
            let answered = wait_for_driver(asking, deadline, &root, &mut stats);
            only_of_then(answered, &stats)
        }
        Err(answer) => answer,
    };
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
            processes::read_processes(
                &readers,
                stats,
                &mut gpus,
                &named,
                &mut strangers,
                unseen,
                &mut gaps,
            )
        }
    };
    let settings = settings::read_settings(&root, &topology);
    let users = match users {
        // Numbers do where no names come.
        Some(names) => names
            .recv_timeout(USERS.min(deadline.left()))
            .unwrap_or_default(),
        None => manifest.users.clone(),
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
        users,
        gaps,
    };
    Observation {
        machine,
        driver,
        strangers,
        tap: root.take_tap(),
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
        origin,
        driver_version: None,
    }
}

/// How long the system may take to tell its users' names: they may come from another machine.
const USERS: Duration = Duration::from_secs(2);

/// Asks for the users' names, on a thread that may be left behind.
fn ask_for_users() -> Receiver<BTreeMap<u32, String>> {
    let (tell, names) = mpsc::channel();
    let thread = std::thread::Builder::new().name("users".into());
    // Where no thread can be had there are no names.
    let _ = thread.spawn(move || {
        let users = sysinfo::Users::new_with_refreshed_list();
        let named = users
            .iter()
            .map(|user| (**user.id(), user.name().to_owned()));
        // Nobody waits any more if it took too long.
        let _ = tell.send(named.collect());
    });
    names
}
