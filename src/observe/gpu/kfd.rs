//! AMD's KFD, the kernel's driver for computing on AMD's GPUs: which GPUs it has, and who has queues and memory there.
//!
//! Written after the kernel's kfd_topology.c and kfd_process.c; no machine with such a GPU was seen. Only files are read
//! that the kernel answers from its own books: `sdma_GPUID` and `cu_occupancy` beside them ask the GPU.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::gap::Reason;
use crate::observe::gpu::kfd_format::{parse_location, parse_number};
use crate::observe::pci::read_as;
use crate::observe::root::{Root, number};
use crate::units::{PciAddress, Pid, value};

const NODES: &str = "sys/class/kfd/kfd/topology/nodes";
const PROCESSES: &str = "sys/class/kfd/kfd/proc";

/// What KFD knows of one GPU.
#[derive(Debug, Default)]
pub struct KfdGpu {
    /// Its numbers (`gpu_id`), one for each partition.
    pub ids: BTreeSet<u32>,
    /// What the driver calls its chip (`name`); `None` where it has no name for it.
    pub chip: Option<String>,
}

/// The GPUs that KFD has, by address. A node that may not be read, as of a GPU that a container was not given, is none.
pub fn read_gpus(root: &Root) -> BTreeMap<PciAddress, KfdGpu> {
    let mut gpus: BTreeMap<PciAddress, KfdGpu> = BTreeMap::new();
    for node in root.names(NODES).unwrap_or_default() {
        let file = |name: &str| format!("{NODES}/{node}/{name}");
        let id = read_as(root, &file("gpu_id"), parse_number::<u32>);
        // CPUs are nodes too, of the number 0.
        let Some(id) = id.ok().filter(|id| *id != 0) else {
            continue;
        };
        let Ok(address) = read_as(root, &file("properties"), parse_location) else {
            continue;
        };
        let gpu = gpus.entry(address).or_default();
        gpu.ids.insert(id);
        // So it calls every chip that tells what it is made of by itself.
        const NAMELESS: &str = "ip discovery";
        let chip = root.read(&file("name"));
        let chip = chip.map(|name| value(&name).to_owned());
        gpu.chip = chip
            .ok()
            .filter(|name| !name.is_empty() && name != NAMELESS);
    }
    gpus
}

/// On which GPUs, by KFD's numbers, each process works: where it has a queue or, where it has none anywhere, memory. One
/// that merely opened `/dev/kfd` is there too, with none. The PIDs are those of the host, wherever one looks from.
///
/// # Errors
/// The reason for a gap, where KFD's list cannot be read.
pub fn read_processes(root: &Root) -> Result<BTreeMap<Pid, Result<BTreeSet<u32>, Reason>>, Reason> {
    let names = match root.names(PROCESSES) {
        Err(Reason::Absent) => Vec::new(),
        names => names?,
    };
    let pids = names.iter().filter_map(|name| number(name)).map(Pid);
    let processes = pids.map(|pid| (pid, read_process(root, pid)));
    // One that ended meanwhile works nowhere.
    let has_ended = |gpus: &Result<_, Reason>| {
        root.is_live() && matches!(gpus, Err(Reason::Absent | Reason::Gone))
    };
    Ok(processes.filter(|(_, gpus)| !has_ended(gpus)).collect())
}

fn read_process(root: &Root, pid: Pid) -> Result<BTreeSet<u32>, Reason> {
    let own = format!("{PROCESSES}/{pid}");
    let mut folders = vec![own.clone()];
    // From Linux 7.2 on a process may have several contexts: the others are in folders below the first's.
    let names = root.names(&own)?.into_iter();
    let contexts = names.filter(|name| name.starts_with("context_"));
    folders.extend(contexts.map(|name| format!("{own}/{name}")));
    let (mut with_queue, mut with_memory) = (BTreeSet::new(), BTreeSet::new());
    for folder in folders {
        let queues = format!("{folder}/queues");
        for queue in root.names(&queues).unwrap_or_default() {
            let gpu = read_as(root, &format!("{queues}/{queue}/gpuid"), parse_number);
            match gpu {
                // A queue comes and goes.
                Err(Reason::Absent | Reason::Gone) if root.is_live() => {}
                gpu => drop(with_queue.insert(gpu?)),
            }
        }
        for name in root.names(&folder)? {
            let Some(id) = name.strip_prefix("vram_") else {
                continue;
            };
            let bytes = read_as(root, &format!("{folder}/{name}"), parse_number::<u64>)?;
            if bytes > 0 {
                with_memory.insert(parse_number(id.as_bytes())?);
            }
        }
    }
    Ok(match with_queue.is_empty() {
        true => with_memory,
        false => with_queue,
    })
}
