//! The GPUs: what the drivers and sysfs say about them, joined.

use std::collections::BTreeMap;

use crate::machine::{
    Context, DriverAnswer, DriverGpu, DriverProcess, Fact, Gaps, Gpu, Instance, PciDevice, Reason,
    Topology,
};
use crate::observe::gpu::module_files::{complete, find_nvidia_gpus, free_indexes};
use crate::observe::gpu::{drm, nvidia};
use crate::observe::pci;
use crate::observe::pci::SysfsPciDevice;
use crate::observe::root::Root;
use crate::units::{
    Bytes, Malformed, NodeId, NodeSet, PciAddress, Pid, parse_cpu_list, parse_node_list,
};
use crate::words::HomeSource;

/// Reads the GPUs, by index, and the other PCI devices. Where NVML did not answer, NVIDIA's GPUs are those on the PCI bus.
/// The GPUs of AMD and Intel come after them.
pub(crate) fn read_gpus(
    root: &Root,
    driver: &DriverAnswer,
    topology: &Topology,
    gaps: &mut Gaps,
) -> (Vec<Gpu>, Vec<PciDevice>) {
    let pci = pci::read_pci(root, gaps);
    let by_address: BTreeMap<PciAddress, &SysfsPciDevice> = pci
        .iter()
        .map(|entry| (entry.device.address, entry))
        .collect();
    let others = drm::read_gpus(root, &by_address);
    let mut gpus: Vec<Gpu> = match &driver.gpus {
        Some(answers) if !answers.is_empty() => {
            let gpus = answers
                .iter()
                .map(|answer| gpu_of_answer(answer, topology, gaps));
            let mut gpus = gpus.collect();
            complete(root, &pci, answers, &mut gpus, gaps);
            gpus
        }
        _ => {
            let found = find_nvidia_gpus(root, &pci);
            let has_others = !others.is_empty() || pci.iter().any(|entry| entry.device.may_compute);
            // On a machine that has only devices of other vendors the lack of NVIDIA's driver is not a gap.
            if !found.is_empty() || !has_others {
                // An empty list is an answer, but not that of a machine that is audited for its GPUs.
                let empty = || "the NVIDIA driver lists no GPU".to_owned();
                let error = driver.error.clone().unwrap_or_else(empty);
                gaps.note(None, Fact::Driver, Reason::Failed(error));
            }
            let numbered = found.into_iter().zip(0..);
            numbered
                .map(|(address, index)| nvidia::read_gpu(root, address, index))
                .collect()
        }
    };
    append(&mut gpus, others);
    for gpu in &mut gpus {
        if let Some(entry) = gpu.address.and_then(|address| by_address.get(&address)) {
            let parent = pci::read_parent_node(root, &entry.folder);
            add_home_node(gpu, HomeSource::Sysfs, entry.device.node);
            add_home_node(gpu, HomeSource::PciParent, parent);
        }
        if gpu.drm.is_none() {
            gpu.own_memory_node = nvidia::read_memory_node(root, gpu, gaps);
        }
    }
    let is_gpu = |device: &PciDevice| gpus.iter().any(|gpu| gpu.address == Some(device.address));
    let devices = pci.into_iter().map(|entry| entry.device);
    let devices = devices.filter(|device| !is_gpu(device)).collect();
    (gpus, devices)
}

fn add_home_node(gpu: &mut Gpu, source: HomeSource, node: Option<NodeId>) {
    if let Some(node) = node {
        gpu.home_answers.insert(source, NodeSet::from([node]));
    }
}

/// Adds other vendors' GPUs, with the next free indexes.
fn append(gpus: &mut Vec<Gpu>, others: Vec<Gpu>) {
    let free = free_indexes(gpus);
    let numbered = others.into_iter().zip(free);
    gpus.extend(numbered.map(|(gpu, index)| Gpu { index, ..gpu }));
    gpus.sort_by_key(|gpu| gpu.index);
}

fn gpu_of_answer(answer: &DriverGpu, topology: &Topology, gaps: &mut Gaps) -> Gpu {
    if answer.processes.is_none() || answer.error.is_some() {
        let error = answer.error.clone();
        gaps.note(
            None,
            Fact::GpuProcesses(answer.index),
            error.map_or(Reason::Absent, Reason::Failed),
        );
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
                memory: process.used_memory_bytes.map(Bytes),
            })
            .collect()
    };
    // A GPU without memory of its own: what it uses is not counted there.
    let has_own_memory = answer.memory_total_bytes != Some(0);
    let memory_used = answer.memory_used_bytes.filter(|_| has_own_memory);
    Gpu {
        index: answer.index,
        uuid: answer.uuid.clone(),
        name: answer.name.clone(),
        address: answer.pci_bus_id.as_ref().and_then(|id| id.parse().ok()),
        memory_total: answer.memory_total_bytes.map(Bytes),
        memory_used: memory_used.map(Bytes),
        home_answers: home_answers(answer, topology),
        minor: answer.minor_number,
        contexts: answer.processes.as_ref().map(contexts),
        mig_devices: answer.mig_devices.clone(),
        ..Gpu::default()
    }
}

/// The nodes near a GPU, by NVML.
fn home_answers(answer: &DriverGpu, topology: &Topology) -> BTreeMap<HomeSource, NodeSet> {
    let by_memory = affinity(&answer.memory_affinity, parse_node_list);
    let by_cpus = affinity(&answer.cpu_affinity, parse_cpu_list);
    let by_cpus = by_cpus.map(|cpus| topology.nodes_of(&cpus));
    let answers = [
        (HomeSource::NvmlMemoryAffinity, by_memory),
        (HomeSource::NvmlCpuAffinity, by_cpus),
    ];
    answers
        .into_iter()
        .filter_map(|(source, nodes)| Some((source, nodes.filter(|nodes| !nodes.is_empty())?)))
        .collect()
}

/// An empty list means that NVML does not know.
fn affinity<T>(list: &Option<String>, parse: fn(&[u8]) -> Result<T, Malformed>) -> Option<T> {
    parse(list.as_deref().filter(|list| !list.is_empty())?.as_bytes()).ok()
}
