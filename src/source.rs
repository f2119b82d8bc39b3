//! Observes one machine: the running one, or a recorded one.
//!
//! The two differ in [`Root`] and in where NVML's answers come from. All else is the same code.

mod archive;
mod nvml;
mod nvml_processes;
mod procfs;
mod root;
mod sysfs;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};

pub use root::{Root, Tap};
pub use tree::{Entry, Tree};

use crate::model::driver::{DriverAnswer, DriverGpu, DriverProcess};
use crate::model::family::{Family, bounds_job, is_forkserver, is_resource_tracker};
use crate::model::gap::{Fact, Gap, Reason};
use crate::model::gpu::{Context, Gpu};
use crate::model::memory::Bytes;
use crate::model::pci::{PciAddress, PciDevice};
use crate::model::process::{Pid, Process};
use crate::model::topology::NodeId;
use crate::model::{Host, Machine, Origin};
use crate::parse::nvidia::{parse_information, parse_numa_status, parse_nvml};
use crate::parse::snapshot::{Manifest, parse_manifest};
use crate::parse::stat::Stat;

/// The machine to observe.
#[derive(Debug)]
pub struct Source {
    root: Root,
    driver: Driver,
    manifest: Manifest,
}

/// Where NVML's answers come from.
#[derive(Debug)]
enum Driver {
    /// The library, at this path or where the system has it.
    Library(Option<PathBuf>),
    /// A recording's `nvml.json`.
    Recorded(DriverAnswer),
}

/// Why a recording cannot be used: one sentence with its path.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be opened, or its archive cannot be read.
    #[error("cannot read the snapshot {}: {cause}", path.display())]
    Unreadable {
        /// The path as it was given.
        path: PathBuf,
        /// What the system or the archive's reader says.
        cause: std::io::Error,
    },
    /// It is there and is no recording.
    #[error("{} is no snapshot: {why}", path.display())]
    NotOne {
        /// The path as it was given.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Source {
    /// The machine that the program runs on. `nvml` names the library where it is not found by itself.
    pub fn live(nvml: Option<PathBuf>) -> Self {
        Self {
            root: Root::live(),
            driver: Driver::Library(nvml),
            manifest: Manifest::default(),
        }
    }

    /// The same, keeping all that is read, for a recording.
    pub fn live_tapped(nvml: Option<PathBuf>) -> Self {
        let mut source = Self::live(nvml);
        source.root = source.root.tapped();
        source
    }

    /// A recorded machine: a folder, or a `.tar.gz` of one. Nothing is written anywhere.
    ///
    /// # Errors
    /// When it cannot be read, is no recording, or one of a format that this program does not know.
    pub fn snapshot(path: &Path) -> Result<Self, SnapshotError> {
        let unreadable = |cause| SnapshotError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let mut root = open_snapshot(path).map_err(unreadable)?;
        let denied = || std::io::Error::from_raw_os_error(EACCES);
        let not_one = |why: String| SnapshotError::NotOne {
            path: path.to_owned(),
            why,
        };
        let json = |name: &str, reason: Reason| not_one(format!("{name}: {reason}"));
        let manifest = match root.read("snapshot.json") {
            Ok(text) => {
                parse_manifest(&text).map_err(|error| json("snapshot.json", error.into()))?
            }
            // A bare tree of /proc and /sys is as good.
            Err(Reason::Absent) if has_kernel_files(&root) => Manifest::default(),
            Err(Reason::Absent) => {
                return Err(not_one(
                    "it has neither snapshot.json nor /sys nor /proc".into(),
                ));
            }
            Err(Reason::Denied) => return Err(unreadable(denied())),
            Err(reason) => return Err(json("snapshot.json", reason)),
        };
        let answer = match root.read("nvml.json") {
            Ok(text) => parse_nvml(&text).map_err(|error| json("nvml.json", error.into()))?,
            Err(Reason::Absent) => DriverAnswer {
                error: Some("the snapshot has no nvml.json: no driver answered there".into()),
                ..DriverAnswer::default()
            },
            Err(Reason::Denied) => return Err(unreadable(denied())),
            Err(reason) => return Err(json("nvml.json", reason)),
        };
        root.deny(manifest.denied.iter().cloned());
        Ok(Self {
            root,
            driver: Driver::Recorded(answer),
            manifest,
        })
    }
}

/// "Permission denied", as the system says it.
const EACCES: i32 = 13;

fn open_snapshot(path: &Path) -> std::io::Result<Root> {
    if std::fs::metadata(path)?.is_dir() {
        return Root::folder(path);
    }
    // Not blocking: a FIFO is refused instead of waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() || !archive::is_gzip(&file) {
        return Err(std::io::Error::other(
            "it is neither a folder nor a .tar.gz",
        ));
    }
    Ok(Root::archive(archive::read_archive(file)?))
}

fn has_kernel_files(root: &Root) -> bool {
    ["sys/devices/system", "proc"]
        .iter()
        .any(|folder| root.names(folder).is_ok_and(|names| !names.is_empty()))
}

/// A machine as it was observed, with what a recording needs besides.
#[derive(Debug)]
pub struct Observation {
    /// What was seen.
    pub machine: Machine,
    /// NVML's answers as they came.
    pub driver: DriverAnswer,
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
    } = source;
    let mut gaps = Vec::new();
    let mut host = host(&root, &manifest);
    let driver = match driver {
        Driver::Library(path) => nvml::ask(path.as_deref()),
        Driver::Recorded(answer) => answer,
    };
    host.driver_version = driver.driver_version.clone();
    let topology = sysfs::read_topology(&root, &mut gaps);
    let (gpus, devices) = read_gpus(&root, &driver, &mut gaps);
    let named: Vec<Pid> = match subjects {
        Subjects::Named(pids) => pids.clone(),
        Subjects::GpuUsers => manifest.named.iter().copied().map(Pid).collect(),
        Subjects::Nobody => Vec::new(),
    };
    let processes = match subjects {
        Subjects::Nobody => Vec::new(),
        _ => read_processes(&root, &gpus, &named, &mut gaps),
    };
    let users = user_names(&root, &manifest);
    let machine = Machine {
        host,
        topology,
        gpus,
        devices,
        processes,
        named,
        users,
        gaps,
    };
    Observation {
        machine,
        driver,
        tap: root.into_tap(),
    }
}

/// Reads the processes that matter, by PID.
fn read_processes(root: &Root, gpus: &[Gpu], named: &[Pid], gaps: &mut Vec<Gap>) -> Vec<Process> {
    let contexts = gpus.iter().flat_map(|gpu| gpu.contexts.iter().flatten());
    let holders: BTreeSet<Pid> = contexts.map(|context| context.pid).collect();
    let mut stats = BTreeMap::new();
    let mut unread = BTreeMap::new();
    match procfs::read_stats(root) {
        Ok(all) => {
            for (pid, stat) in all {
                match stat {
                    Ok(stat) => drop(stats.insert(pid, stat)),
                    Err(reason) => drop(unread.insert(pid, reason)),
                }
            }
        }
        Err(reason) => gaps.push(Gap {
            pid: None,
            fact: Fact::Processes,
            reason,
        }),
    }
    if root.is_live() {
        stats.remove(&Pid(std::process::id()));
    }
    let wanted: BTreeSet<Pid> = match named {
        [] => holders.clone(),
        named => named.iter().copied().collect(),
    };
    let mut missing: BTreeMap<Pid, Reason> = BTreeMap::new();
    for pid in &wanted {
        match stats.get(pid) {
            None => drop(missing.insert(*pid, unread.remove(pid).unwrap_or(Reason::Absent))),
            Some(stat) if stat.is_of_kernel() => {
                let why = Reason::Failed("a thread of the kernel, which has no memory".into());
                missing.insert(*pid, why);
            }
            Some(_) => {}
        }
    }
    stats.retain(|_, stat| !stat.is_of_kernel());
    gaps.extend(hidden(unread));
    let mut processes = Vec::new();
    for pid in select(root, &stats, &holders, named) {
        if let Some(stat) = stats.remove(&pid) {
            match procfs::read_process(root, pid, stat, gaps) {
                Some(process) => processes.push(process),
                // One that ended by itself is none that is missing, but for whom it was asked by number.
                None if named.contains(&pid) => drop(missing.insert(pid, Reason::Gone)),
                None => {}
            }
        }
    }
    gaps.extend(missing.into_iter().map(|(pid, reason)| Gap {
        pid: Some(pid),
        fact: Fact::Process,
        reason,
    }));
    processes
}

/// Processes that nobody asked for by number, of which some may belong to a job all the same. With hidepid there
/// may be thousands: these are counted.
fn hidden(unread: BTreeMap<Pid, Reason>) -> Vec<Gap> {
    let (denied, other): (Vec<_>, Vec<_>) = unread
        .into_iter()
        .partition(|(_, reason)| *reason == Reason::Denied);
    let denied = (!denied.is_empty()).then_some(Gap {
        pid: None,
        fact: Fact::HiddenProcesses(denied.len()),
        reason: Reason::Denied,
    });
    let other = other.into_iter().map(|(pid, reason)| Gap {
        pid: Some(pid),
        fact: Fact::Process,
        reason,
    });
    denied.into_iter().chain(other).collect()
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

/// Joins what the driver and sysfs know of GPUs; gives the other devices too. Where no driver
/// answered, the GPUs are those that PCI shows.
fn read_gpus(
    root: &Root,
    driver: &DriverAnswer,
    gaps: &mut Vec<Gap>,
) -> (Vec<Gpu>, Vec<PciDevice>) {
    let pci = sysfs::read_pci(root, gaps);
    let nodes: BTreeMap<PciAddress, _> = pci
        .iter()
        .map(|seen| (seen.device.address, seen.device.node))
        .collect();
    let gpus: Vec<Gpu> = match &driver.gpus {
        Some(gpus) => gpus.iter().map(|gpu| of_driver(gpu, gaps)).collect(),
        None => {
            let error = driver.error.clone().unwrap_or_default();
            gaps.push(Gap {
                pid: None,
                fact: Fact::Driver,
                reason: Reason::Failed(error),
            });
            let on_bus = pci.iter().filter(|seen| seen.is_nvidia_gpu);
            let mut addresses: BTreeSet<_> = on_bus.map(|seen| seen.device.address).collect();
            let by_module = root.names(DRIVER_GPUS).unwrap_or_default();
            addresses.extend(
                by_module
                    .iter()
                    .filter_map(|name| name.parse::<PciAddress>().ok()),
            );
            let numbered = addresses.into_iter().zip(0..);
            numbered
                .map(|(address, index)| of_pci(root, address, index))
                .collect()
        }
    };
    let gpus = gpus.into_iter().map(|gpu| Gpu {
        sysfs_node: gpu.address.and_then(|address| *nodes.get(&address)?),
        own_memory_node: read_own_memory_node(root, &gpu, gaps),
        ..gpu
    });
    let gpus: Vec<Gpu> = gpus.collect();
    let is_gpu = |device: &PciDevice| gpus.iter().any(|gpu| gpu.address == Some(device.address));
    let devices = pci.into_iter().map(|seen| seen.device);
    let devices = devices.filter(|device| !is_gpu(device)).collect();
    (gpus, devices)
}

const DRIVER_GPUS: &str = "proc/driver/nvidia/gpus";

fn of_driver(gpu: &DriverGpu, gaps: &mut Vec<Gap>) -> Gpu {
    if gpu.processes.is_none() || gpu.error.is_some() {
        let error = gpu.error.clone();
        gaps.push(Gap {
            pid: None,
            fact: Fact::GpuProcesses(gpu.index),
            reason: error.map_or(Reason::Absent, Reason::Failed),
        });
    }
    let contexts = |processes: &Vec<DriverProcess>| {
        let with_context = processes.iter().filter(|process| process.has_context());
        with_context
            .map(|process| Context {
                pid: Pid(process.pid),
            })
            .collect()
    };
    Gpu {
        index: gpu.index,
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        address: gpu.pci_bus_id.as_ref().and_then(|id| id.parse().ok()),
        memory_total: gpu.memory_total_bytes.map(Bytes),
        memory_used: gpu.memory_used_bytes.map(Bytes),
        sysfs_node: None,
        own_memory_node: None,
        contexts: gpu.processes.as_ref().map(contexts),
    }
}

fn of_pci(root: &Root, address: PciAddress, index: u32) -> Gpu {
    let information = root.read(&format!("{DRIVER_GPUS}/{address}/information"));
    let information = information.map(|text| parse_information(&text));
    let information = information.unwrap_or_default();
    Gpu {
        index,
        uuid: information.uuid,
        name: information.name,
        address: Some(address),
        memory_total: None,
        memory_used: None,
        sysfs_node: None,
        own_memory_node: None,
        contexts: None,
    }
}

/// A GPU whose memory is no node has no such file.
fn read_own_memory_node(root: &Root, gpu: &Gpu, gaps: &mut Vec<Gap>) -> Option<NodeId> {
    let status = root.read(&format!("{DRIVER_GPUS}/{}/numa_status", gpu.address?));
    match status.and_then(|status| Ok(parse_numa_status(&status)?)) {
        Ok(node) => node,
        Err(Reason::Absent) => None,
        Err(reason) => {
            gaps.push(Gap {
                pid: None,
                fact: Fact::GpuMemoryNode(gpu.index),
                reason,
            });
            None
        }
    }
}

/// The processes that matter. Of those that hold a context: with their descendants, the launchers above them
/// and the launchers' own helpers. Of named ones: with their descendants, and what leads up to a trainer.
fn select(
    root: &Root,
    stats: &BTreeMap<Pid, Stat>,
    holders: &BTreeSet<Pid>,
    named: &[Pid],
) -> BTreeSet<Pid> {
    let family = Family::new(stats.iter().map(|(pid, stat)| (*pid, stat.ppid)));
    if !named.is_empty() {
        let mut selected = family.with_descendants(named.iter().copied());
        for pid in named {
            let ancestors = family.ancestors(*pid);
            if let Some(trainer) = ancestors.iter().position(|pid| holders.contains(pid)) {
                selected.extend(&ancestors[..=trainer]);
            }
        }
        return selected;
    }
    let mut selected = family.with_descendants(holders.iter().copied());
    let command = |pid: Pid| procfs::read_command(root, pid).unwrap_or_default();
    let mut launchers = BTreeSet::new();
    for holder in holders {
        let ancestors = family.ancestors(*holder).into_iter();
        let of_job = ancestors.take_while(|pid| {
            let name = stats.get(pid).map_or("", |stat| &stat.name);
            !bounds_job(name, &command(*pid)) && !is_init_of_another_group(root, *pid, *holder)
        });
        launchers.extend(of_job);
    }
    for launcher in &launchers {
        let helpers = family.children(*launcher).iter().filter(|pid| {
            let command = command(**pid);
            is_resource_tracker(&command) || is_forkserver(&command)
        });
        selected.extend(helpers);
    }
    selected.extend(launchers);
    selected
}

/// Whether this is the first process and of another control group than the job: an init. In a container
/// the first process is in the job's own group, and may well be its launcher.
fn is_init_of_another_group(root: &Root, pid: Pid, holder: Pid) -> bool {
    pid == Pid(1) && procfs::read_cgroup(root, pid) != procfs::read_cgroup(root, holder)
}
