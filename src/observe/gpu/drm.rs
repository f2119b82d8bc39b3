//! The GPUs of AMD and Intel: `/sys/bus/pci/devices/ADDRESS/{drm,mem_info_*,product_name}` of the kernel's DRM drivers, and
//! KFD's list.
//!
//! Written after the kernel's sources; not tested on a machine with such a GPU.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::{DrmGpu, Gpu, Partition};
use crate::observe::gpu::{KfdGpu, kfd};
use crate::observe::pci::{SysfsPciDevice, parse_hex, vendor};
use crate::observe::read::read_as;
use crate::observe::root::Root;
use crate::units::{Bytes, PciAddress, value};
use crate::words::PciClass;

/// The GPUs by address, without an index. A device is a GPU if it has a DRM render node or KFD lists it: the VGA controller
/// of a board has neither.
pub(crate) fn read_gpus(
    root: &Root,
    by_address: &BTreeMap<PciAddress, &SysfsPciDevice>,
) -> Vec<Gpu> {
    let candidates = || by_address.values().filter(|entry| brand(entry).is_some());
    if candidates().next().is_none() {
        return Vec::new();
    }
    let mut in_kfd: BTreeMap<PciAddress, KfdGpu> = BTreeMap::new();
    for (address, gpu) in kfd::read_gpus(root) {
        // Some kernels write the number of the partition in the place of the function.
        let first = PciAddress {
            function: 0,
            ..address
        };
        let is_present = by_address.contains_key(&address);
        let merged = in_kfd.entry(if is_present { address } else { first });
        let merged = merged.or_default();
        let renumbered = gpu.partitions.into_iter().map(|partition| Partition {
            number: if is_present {
                partition.number
            } else {
                address.function.into()
            },
            ..partition
        });
        merged.partitions.extend(renumbered);
        merged.chip = merged.chip.take().or(gpu.chip);
    }
    candidates()
        .filter_map(|entry| {
            let kfd = in_kfd.remove(&entry.device.address).unwrap_or_default();
            read_gpu(root, entry, kfd)
        })
        .collect()
}

/// The vendor's name; `None` for other vendors and for a class that a GPU does not have.
fn brand(entry: &SysfsPciDevice) -> Option<&'static str> {
    let may_be_gpu = matches!(
        entry.device.class,
        PciClass::Display | PciClass::Accelerator
    );
    match entry.device.vendor {
        Some(vendor::AMD) if may_be_gpu => Some("AMD"),
        Some(vendor::INTEL) if may_be_gpu => Some("Intel"),
        _ => None,
    }
}

fn read_gpu(root: &Root, entry: &SysfsPciDevice, kfd: KfdGpu) -> Option<Gpu> {
    let file = |name: &str| format!("{}/{name}", entry.folder);
    // Connectors (`card0-DP-1`) are in the folders of the cards, and have no files in /dev/dri.
    let nodes = root.names(&file("drm")).unwrap_or_default().into_iter();
    let nodes: BTreeSet<String> = nodes
        .filter(|name| name.starts_with("card") || name.starts_with("renderD"))
        .collect();
    let has_render_node = nodes.iter().any(|name| name.starts_with("renderD"));
    if !has_render_node && kfd.partitions.is_empty() {
        return None;
    }
    // Only amdgpu has these files.
    let bytes = |name: &str| {
        let text = root.read(&file(name)).ok()?;
        value(&text).parse().ok().map(Bytes)
    };
    let mode = |name: &str| {
        let text = root.read(&file(name)).ok()?;
        Some(value(&text).to_owned()).filter(|mode| !mode.is_empty())
    };
    let KfdGpu { partitions, chip } = kfd;
    Some(Gpu {
        name: name(root, entry, chip),
        address: Some(entry.device.address),
        memory_total: bytes("mem_info_vram_total"),
        memory_used: bytes("mem_info_vram_used"),
        drm: Some(DrmGpu {
            nodes,
            kfd_ids: partitions.iter().map(|of| of.kfd_id).collect(),
            partitions: if partitions.len() > 1 {
                partitions
            } else {
                BTreeSet::new()
            },
            modes: [
                mode("current_compute_partition"),
                mode("current_memory_partition"),
            ],
            host_memory_used: bytes("mem_info_gtt_used"),
        }),
        ..Gpu::default()
    })
}

/// The name of the product (`product_name` of amdgpu), else of the chip, else the PCI ids.
fn name(root: &Root, entry: &SysfsPciDevice, chip: Option<String>) -> Option<String> {
    let product = root.read(&format!("{}/product_name", entry.folder));
    let product = product.map(|name| value(&name).to_owned());
    if let Some(product) = product.ok().filter(|name| !name.is_empty()) {
        return Some(product);
    }
    let brand = brand(entry)?;
    let device = read_as(root, &format!("{}/device", entry.folder), parse_hex);
    Some(match (chip, device) {
        (Some(chip), _) => format!("{brand} {chip}"),
        (None, Ok(device)) => format!("{brand} {:04x}:{device:04x}", entry.device.vendor?),
        (None, Err(_)) => brand.to_owned(),
    })
}
