//! Observes one machine: the running one, or a recorded one.
//!
//! Both take the same code, except for three things: [`root::Root`] opens the files, [`Source`] has NVML's answers, and `memory`
//! chooses how memory is read.
//!
//! # What is read
//!
//! - All processes: `/proc/PID/stat`. The processes that use a GPU and those of their jobs: `status`, `cmdline`, `environ`,
//!   `cgroup`, the links in `fd`, `task/TID/stat`, and sched_getaffinity. `fd` of all processes only where NVML names none on
//!   a GPU, where its GPUs are not those of `/proc/driver/nvidia/gpus`, or where a GPU is AMD's or Intel's. Where the main
//!   thread has ended, these files of a living thread. The folder `/proc/PID` stays open meanwhile, as far as the limit of
//!   open files allows (`root/held.rs`); at the end `statm` shows that the process is still there, or `stat` where the folder
//!   is not open.
//! - Of environments only the variables of ranks (`jobs/ranks.rs`), of schedulers' jobs (`jobs/scheduler.rs`), MASTER_PORT,
//!   TORCHELASTIC_RUN_ID, CUDA_VISIBLE_DEVICES, POD_UID, and variables that request a binding, of frameworks and of OpenMP
//!   (`jobs/binding_requests.rs`).
//! - Memory: `maps`, the nodes of some hundred to some thousand pages (move_pages without target nodes), `pagemap` where
//!   mappings are nearly empty, the first lines of `numa_maps` for the policy; with `--json` of `task/TID/numa_maps` too.
//!   `numa_maps` as a whole for small processes, recordings, `--memory exact`, and where move_pages is refused;
//!   `memory.numa_stat` of the control group where that takes too long. For huge pages `/proc/self/mountinfo`, `/sys/kernel/mm/hugepages` and the device
//!   of an empty memfd.
//! - Control groups: `cpuset.cpus.effective`, `cpuset.mems.effective`, `cpuset.cpus.partition` and `cpu.max`, or their
//!   equivalents of version 1.
//! - With `--for`: `task/TID/stat` repeatedly; at both ends `task/TID/sched`, `/proc/vmstat` and the nodes' `numastat`.
//! - For a map the cores: `thread_siblings_list` and `physical_package_id` of all CPUs.
//! - `/var/log/pods`, where a process is in a Kubernetes pod, for the pod's name.
//! - The machine: `/proc/sys/kernel/{osrelease,numa_balancing}`, `/proc/sys/vm/zone_reclaim_mode`, `/proc/stat`,
//!   `/proc/driver/nvidia`, `/sys/devices/system/{node,cpu}`, `/sys/bus/pci/devices`, and the system's user names.
//! - GPUs: NVML, in a process of its own, for what `/proc/driver/nvidia` does not have. AMD's and Intel's: `drm`, `product_name` and `mem_info_{vram,gtt}_*` of the PCI
//!   device, `/sys/class/kfd/kfd/{topology/nodes,proc}`, and `/proc/PID/fdinfo` of open `/dev/dri/*`.
//! - Other accelerators: the PCI ids and the driver's name, and `/proc/PID/fd` where there is one.

pub(crate) mod audit_file;
pub(crate) mod cpu_facts;
pub(crate) mod deadline;
pub(crate) mod documents;
pub(crate) mod gpu;
pub(crate) mod hierarchy;
pub(crate) mod host;
pub(crate) mod kernel_settings;
pub(crate) mod memory;
pub(crate) mod nodes;
pub(crate) mod own_process;
pub(crate) mod patience;
pub(crate) mod pci;
pub(crate) mod process;
pub(crate) mod read;
pub(crate) mod root;
pub(crate) mod selection;
pub(crate) mod source;
pub(crate) mod topology_file;
pub(crate) mod watch;

use std::collections::BTreeSet;

use crate::machine::{DriverAnswer, Gaps, Machine};
pub(crate) use crate::observe::audit_file::{is_recording, read_audit, read_expected};
use crate::observe::deadline::Deadline;
pub(crate) use crate::observe::documents::{Item, read_documents};
pub(crate) use crate::observe::gpu::nvml::child::{Invocation, answer};
use crate::observe::gpu::{device_users, gpus};
use crate::observe::memory::MemoryReader;
pub(crate) use crate::observe::memory::MemoryReading;
pub(crate) use crate::observe::own_process::own_jobs;
pub(crate) use crate::observe::patience::Patience;
pub(crate) use crate::observe::process::user_names::user_number;
use crate::observe::process::{Readers, pod_names, processes, user_names};
use crate::observe::root::Manifest;
pub(crate) use crate::observe::root::Tap;
pub(crate) use crate::observe::source::{Source, Subjects};
pub(crate) use crate::observe::topology_file::read_topology_file;
pub(crate) use crate::observe::watch::continuous::Continuous;
pub(crate) use crate::observe::watch::window::watch;
use crate::units::Pid;

/// An observed machine, with what a recording of it needs.
#[derive(Debug)]
pub(crate) struct Observation {
    /// The machine.
    pub(crate) machine: Machine,
    /// NVML's answers, unchanged.
    pub(crate) driver: DriverAnswer,
    /// PIDs that NVML lists and that belong to other processes here: they are of another PID namespace.
    pub(crate) strangers: BTreeSet<Pid>,
    /// The files that were read, if the source was tapped.
    pub(crate) tap: Tap,
    /// Whether the time limit came before everything was read.
    pub(crate) is_late: bool,
}

/// Observes the machine once.
pub(crate) fn observe(source: Source, subjects: &Subjects) -> Observation {
    let deadline = Deadline::within(source.time_limit);
    let mut gaps = Gaps::default();
    let (driver, stats, topology) = source.query_driver(deadline, subjects, || {
        nodes::read_topology(&source.root, &mut gaps)
    });
    let Source {
        root,
        manifest,
        memory,
        thread_policies,
        limits,
        ..
    } = source;
    let readers = Readers::new(root.clone(), deadline);
    let mut host = host::read_host(&root, &manifest);
    host.driver_version = driver.driver_version.clone();
    let (mut gpus, devices) = gpus::read_gpus(&root, &driver, &topology, &mut gaps);
    let named = named(subjects, &manifest);
    let (mut strangers, mut device_users) = (BTreeSet::new(), Vec::new());
    let (processes, orphans) = match subjects {
        Subjects::MachineOnly => (Vec::new(), BTreeSet::new()),
        _ => {
            let chosen =
                selection::choose(&readers, stats, &mut gpus, &named, &manifest, &mut gaps);
            strangers.clone_from(&chosen.foreign_pids);
            device_users = device_users::find(&readers, &devices, &chosen.stats);
            let memory = MemoryReader::new(memory, limits, thread_policies);
            processes::read_processes(&readers, chosen, &named, memory, &mut gaps)
        }
    };
    let mut cpus = cpu_facts::read_cpu_facts(&root, &processes, &mut gaps);
    if *subjects == Subjects::MachineOnly {
        cpus.cores = cpu_facts::read_cores(&root, &topology);
    }
    let kernel = kernel_settings::read_settings(&root, &topology, &mut gaps);
    let (users, pods) = if root.is_live() {
        // Where names cannot be read in time, users have numbers.
        let uids = processes.iter().filter_map(|process| process.uid);
        let users = user_names::names(uids.collect(), deadline.left(), root.patience());
        (users, pod_names::read_pod_names(&root, &processes))
    } else {
        (manifest.users, manifest.pods)
    };
    let machine = Machine {
        host,
        topology,
        gpus,
        devices,
        device_users,
        processes,
        named,
        orphans,
        cpus,
        kernel,
        window: None,
        users,
        pods,
        gaps: gaps.into_vec(),
    };
    Observation {
        machine,
        driver,
        strangers,
        tap: root.take_tap(),
        is_late: deadline.is_over() || readers.is_cut(),
    }
}

/// The PIDs that were named, here or for the recording.
fn named(subjects: &Subjects, manifest: &Manifest) -> Vec<Pid> {
    match subjects {
        Subjects::Named(pids) => pids.clone(),
        Subjects::GpuUsers => manifest.named.iter().copied().map(Pid).collect(),
        Subjects::MachineOnly => Vec::new(),
    }
}
