//! The GPUs: what the drivers and sysfs know of them, joined.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::gap::{Fact, Gap, Reason};
use crate::machine::gpu::{Context, Gpu, Instance};
use crate::machine::nvml_answer::{DriverAnswer, DriverGpu, DriverProcess};
use crate::machine::pci::PciDevice;
use crate::observe::gpu::drm;
use crate::observe::gpu::nvidia::{parse_information, parse_numa_status};
use crate::observe::pci;
use crate::observe::pci::Seen;
use crate::observe::root::Root;
use crate::units::{Bytes, Malformed, NodeId, PciAddress, Pid, parse_cpu_list, parse_node_list};

/// Joins what the driver and sysfs know of GPUs; gives the other devices too. Where no driver
/// answered, the GPUs of NVIDIA's are those that PCI shows. Those of AMD and Intel come after them.
pub fn read_gpus(
    root: &Root,
    driver: &DriverAnswer,
    gaps: &mut Vec<Gap>,
) -> (Vec<Gpu>, Vec<PciDevice>) {
    let pci = pci::read_pci(root, gaps);
    let on_bus: BTreeMap<PciAddress, &Seen> =
        pci.iter().map(|seen| (seen.device.address, seen)).collect();
    let others = drm::read_gpus(root, &on_bus);
    let mut gpus: Vec<Gpu> = match &driver.gpus {
        Some(gpus) => {
            let told = gpus.iter().map(|gpu| of_driver(gpu, gaps)).collect();
            by_files_where_silent(root, &pci, told)
        }
        None => {
            let found = find_nvidias(root, &pci);
            // A machine of others' GPUs alone has nothing of which NVIDIA's driver could tell.
            if !found.is_empty() || others.is_empty() {
                let error = driver.error.clone().unwrap_or_default();
                gaps.push(Gap {
                    pid: None,
                    fact: Fact::Driver,
                    reason: Reason::Failed(error),
                });
            }
            let numbered = found.into_iter().zip(0..);
            numbered
                .map(|(address, index)| of_pci(root, address, index))
                .collect()
        }
    };
    append(&mut gpus, others);
    let gpus = gpus.into_iter().map(|gpu| {
        let seen = gpu.address.and_then(|address| on_bus.get(&address));
        Gpu {
            sysfs_node: seen.and_then(|seen| seen.device.node),
            parent_node: seen.and_then(|seen| pci::read_parent_node(root, &seen.folder)),
            own_memory_node: read_own_memory_node(root, &gpu, gaps),
            ..gpu
        }
    });
    let gpus: Vec<Gpu> = gpus.collect();
    let is_gpu = |device: &PciDevice| gpus.iter().any(|gpu| gpu.address == Some(device.address));
    let devices = pci.into_iter().map(|seen| seen.device);
    let devices = devices.filter(|device| !is_gpu(device)).collect();
    (gpus, devices)
}

const DRIVER_GPUS: &str = "proc/driver/nvidia/gpus";

/// Reads the files of NVIDIA's kernel module and forgets them: it writes them under locks of its own, and whoever reads may
/// have to wait, uninterruptibly.
pub fn touch_driver_files(root: &Root) {
    for name in root.names(DRIVER_GPUS).unwrap_or_default() {
        for file in ["information", "numa_status"] {
            let _ = root.read(&format!("{DRIVER_GPUS}/{name}/{file}"));
        }
    }
}

/// NVIDIA's GPUs where its driver does not answer: those on PCI, and those that its kernel module has.
fn find_nvidias(root: &Root, pci: &[Seen]) -> BTreeSet<PciAddress> {
    let on_bus = pci.iter().filter(|seen| seen.is_nvidia_gpu());
    let by_module = root.names(DRIVER_GPUS).unwrap_or_default();
    let by_module = by_module.iter().filter_map(|name| name.parse().ok());
    on_bus
        .map(|seen| seen.device.address)
        .chain(by_module)
        .collect()
}

/// Takes from the files what the driver did not tell of some GPUs: it numbers them in the order of their addresses, so that
/// those of which it told no address are those that are left. Where there are more or fewer of these nothing is taken.
fn by_files_where_silent(root: &Root, pci: &[Seen], told: Vec<Gpu>) -> Vec<Gpu> {
    let silent = told.iter().filter(|gpu| gpu.address.is_none()).count();
    if silent == 0 {
        return told;
    }
    let mut left = find_nvidias(root, pci);
    for address in told.iter().filter_map(|gpu| gpu.address) {
        left.remove(&address);
    }
    if left.len() != silent {
        return told;
    }
    let mut left = left.into_iter();
    let gpus = told.into_iter().map(|gpu| match gpu.address {
        Some(_) => gpu,
        None => match left.next() {
            Some(address) => of_pci(root, address, gpu.index),
            None => gpu,
        },
    });
    gpus.collect()
}

/// Puts other vendors' GPUs after NVIDIA's, with the next indexes that are free.
fn append(gpus: &mut Vec<Gpu>, others: Vec<Gpu>) {
    let taken: BTreeSet<u32> = gpus.iter().map(|gpu| gpu.index).collect();
    let next = taken.last().map_or(0, |last| last.saturating_add(1));
    // A recorded answer may claim any index.
    let free = (next..=u32::MAX).chain(0..next);
    let free = free.filter(|index| !taken.contains(index));
    let numbered = others.into_iter().zip(free);
    gpus.extend(numbered.map(|(gpu, index)| Gpu { index, ..gpu }));
    gpus.sort_by_key(|gpu| gpu.index);
}

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
                instance: process.gpu_instance_id.map(|gpu| Instance {
                    gpu,
                    compute: process.compute_instance_id,
                }),
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
        memory_affinity: near(&gpu.memory_affinity, parse_node_list),
        cpu_affinity: near(&gpu.cpu_affinity, parse_cpu_list),
        minor: gpu.minor_number,
        contexts: gpu.processes.as_ref().map(contexts),
        mig_devices: gpu.mig_devices.clone(),
        ..Gpu::default()
    }
}

/// A list of NVML's; it has no other way to say that it does not know than to say nothing.
fn near<T>(list: &Option<String>, parse: fn(&[u8]) -> Result<T, Malformed>) -> Option<T> {
    parse(list.as_deref().filter(|list| !list.is_empty())?.as_bytes()).ok()
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
        minor: information.minor,
        ..Gpu::default()
    }
}

/// A GPU whose memory is no node has no such file.
fn read_own_memory_node(root: &Root, gpu: &Gpu, gaps: &mut Vec<Gap>) -> Option<NodeId> {
    if gpu.drm.is_some() {
        return None;
    }
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
