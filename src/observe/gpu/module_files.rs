//! Completes NVML's answer by the files of NVIDIA's kernel module and by the PCI bus. What one source leaves out never removes
//! what another one says.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{DriverGpu, Fact, Gaps, Gpu, Reason};
use crate::observe::gpu::nvidia::{self, GpuInformation};
use crate::observe::pci::SysfsPciDevice;
use crate::observe::root::Root;
use crate::units::PciAddress;

/// NVIDIA's GPUs without NVML: those on the PCI bus and those of its kernel module.
pub(crate) fn find_nvidia_gpus(root: &Root, pci: &[SysfsPciDevice]) -> BTreeSet<PciAddress> {
    let on_bus = pci.iter().filter(|entry| entry.device.is_nvidia_gpu());
    on_bus
        .map(|entry| entry.device.address)
        .chain(nvidia::addresses(root))
        .collect()
}

/// The indexes that no GPU has, from the next one on. A recorded answer may contain any index.
pub(crate) fn free_indexes(gpus: &[Gpu]) -> impl Iterator<Item = u32> + use<> {
    let taken: BTreeSet<u32> = gpus.iter().map(|gpu| gpu.index).collect();
    let next = taken.last().map_or(0, |last| last.saturating_add(1));
    let free = (next..=u32::MAX).chain(0..next);
    free.filter(move |index| !taken.contains(index))
}

/// Fills in what NVML did not answer about its GPUs, and adds those that it leaves out. What remains unknown is a gap.
pub(crate) fn complete(
    root: &Root,
    pci: &[SysfsPciDevice],
    answers: &[DriverGpu],
    gpus: &mut Vec<Gpu>,
    gaps: &mut Gaps,
) {
    let addresses = nvidia::addresses(root);
    let read = addresses
        .into_iter()
        .map(|address| (address, nvidia::read_information(root, address)));
    let (excluded, module): (BTreeMap<_, _>, BTreeMap<_, _>) =
        read.partition(|(_, information)| information.is_excluded);
    let mut known = find_nvidia_gpus(root, pci);
    known.retain(|address| !excluded.contains_key(address));
    find_by_identity(&module, gpus);
    find_by_order(&known, &module, gpus);
    for gpu in gpus.iter_mut() {
        if let Some(information) = gpu.address.and_then(|address| module.get(&address)) {
            fill(gpu, information);
        }
    }
    for (gpu, answer) in gpus.iter().zip(answers) {
        note_unanswered(gpu, answer, gaps);
    }
    add_left_out(&module, gpus, gaps);
}

/// Finds the addresses of GPUs by their UUID or their minor number.
fn find_by_identity(module: &BTreeMap<PciAddress, GpuInformation>, gpus: &mut [Gpu]) {
    let mut taken: BTreeSet<PciAddress> = gpus.iter().filter_map(|gpu| gpu.address).collect();
    for gpu in gpus.iter_mut().filter(|gpu| gpu.address.is_none()) {
        let is_it = |(address, information): &(&PciAddress, &GpuInformation)| {
            let by_uuid = gpu.uuid.is_some() && gpu.uuid == information.uuid;
            let by_minor = gpu.minor.is_some() && gpu.minor == information.minor;
            (by_uuid || by_minor) && !contradicts(gpu, information) && !taken.contains(address)
        };
        gpu.address = module.iter().find(is_it).map(|(address, _)| *address);
        taken.extend(gpu.address);
    }
}

/// NVML numbers GPUs by address: those without one have the addresses that are left, in order. Where their number differs, or
/// another answer contradicts, none is taken.
fn find_by_order(
    known: &BTreeSet<PciAddress>,
    module: &BTreeMap<PciAddress, GpuInformation>,
    gpus: &mut [Gpu],
) {
    let taken: BTreeSet<PciAddress> = gpus.iter().filter_map(|gpu| gpu.address).collect();
    let left: Vec<PciAddress> = known.difference(&taken).copied().collect();
    let silent = gpus.iter_mut().filter(|gpu| gpu.address.is_none());
    let pairs: Vec<(&mut Gpu, PciAddress)> = silent.zip(left.iter().copied()).collect();
    let fits = |(gpu, address): &(&mut Gpu, PciAddress)| {
        let information = module.get(address);
        information.is_none_or(|information| !contradicts(gpu, information))
    };
    if pairs.len() != left.len() || !pairs.iter().all(fits) {
        return;
    }
    for (gpu, address) in pairs {
        gpu.address = Some(address);
    }
}

fn contradicts(gpu: &Gpu, information: &GpuInformation) -> bool {
    fn differ<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
        matches!((one, other), (Some(one), Some(other)) if one != other)
    }
    differ(gpu.uuid.as_ref(), information.uuid.as_ref())
        || differ(gpu.minor.as_ref(), information.minor.as_ref())
}

fn fill(gpu: &mut Gpu, information: &GpuInformation) {
    gpu.uuid = gpu.uuid.take().or_else(|| information.uuid.clone());
    gpu.name = gpu.name.take().or_else(|| information.name.clone());
    gpu.minor = gpu.minor.or(information.minor);
}

/// Notes the questions that NVML did not answer, as far as the files did not either.
fn note_unanswered(gpu: &Gpu, answer: &DriverGpu, gaps: &mut Gaps) {
    let details = [
        ("pci_bus_id", "PCI address", gpu.address.is_none()),
        ("uuid", "UUID", gpu.uuid.is_none()),
        ("name", "name", gpu.name.is_none()),
        ("minor_number", "minor number", gpu.minor.is_none()),
        ("memory", "memory in use", gpu.memory_used.is_none()),
    ];
    for (field, detail, is_missing) in details {
        let unreadable = answer.pci_bus_id.as_ref().filter(|_| field == "pci_bus_id");
        let reason = match (answer.unanswered.get(field), unreadable) {
            (Some(error), _) => Reason::Failed(error.clone()),
            (None, Some(id)) => Reason::Malformed(format!("PCI address {id:?}")),
            (None, None) => continue,
        };
        if is_missing {
            gaps.note(None, Fact::GpuDetail(gpu.index, detail), reason);
        }
    }
}

/// Adds the GPUs that the kernel module has and NVML does not list. Where a listed GPU has no address it may be any of them.
fn add_left_out(
    module: &BTreeMap<PciAddress, GpuInformation>,
    gpus: &mut Vec<Gpu>,
    gaps: &mut Gaps,
) {
    let taken: BTreeSet<PciAddress> = gpus.iter().filter_map(|gpu| gpu.address).collect();
    let left = module
        .iter()
        .filter(|(address, _)| !taken.contains(address));
    let left: Vec<_> = left.collect();
    let without_address = gpus.iter().filter(|gpu| gpu.address.is_none()).count();
    if without_address > 0 {
        if left.len() > without_address {
            let (listed, all) = (gpus.len(), gpus.len() - without_address + left.len());
            let reason = format!(
                "the NVIDIA driver lists {listed} of the {all} GPUs in /proc/driver/nvidia/gpus"
            );
            gaps.note(None, Fact::UnlistedGpu, Reason::Failed(reason));
        }
        return;
    }
    let indexes = free_indexes(gpus);
    for (index, (address, information)) in indexes.zip(left) {
        let reason = "not in the list of NVML, only in /proc/driver/nvidia/gpus";
        gaps.note(
            None,
            Fact::GpuProcesses(index),
            Reason::Failed(reason.into()),
        );
        gpus.push(Gpu {
            is_left_out: true,
            ..nvidia::gpu(*address, index, information.clone())
        });
    }
}
