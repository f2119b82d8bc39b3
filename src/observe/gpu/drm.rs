//! The GPUs of AMD and Intel, as the files of the kernel's DRM drivers and of KFD show them.
//!
//! Written after the kernel's sources; no machine with such a GPU was seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::gpu::{DrmGpu, Gpu};
use crate::machine::pci::PciClass;
use crate::observe::gpu::kfd;
use crate::observe::gpu::kfd::KfdGpu;
use crate::observe::nodes::parse_hex;
use crate::observe::pci::{Seen, read_as, vendor};
use crate::observe::root::Root;
use crate::units::{Bytes, PciAddress, value};

/// The GPUs of AMD and Intel by address, not numbered yet. A device is a GPU if DRM has a render node for it or KFD
/// knows it: a board's own VGA has neither.
pub fn read_gpus(root: &Root, on_bus: &BTreeMap<PciAddress, &Seen>) -> Vec<Gpu> {
    let is_candidate = |seen: &&Seen| brand(seen).is_some();
    if !on_bus.values().copied().any(|seen| is_candidate(&seen)) {
        return Vec::new();
    }
    let mut known: BTreeMap<PciAddress, KfdGpu> = BTreeMap::new();
    for (address, gpu) in kfd::read_gpus(root) {
        // Some kernels write the number of a partition into that of the function.
        let first = PciAddress {
            function: 0,
            ..address
        };
        let is_there = on_bus.contains_key(&address);
        let entry = known.entry(if is_there { address } else { first });
        let entry = entry.or_default();
        entry.ids.extend(gpu.ids);
        entry.chip = entry.chip.take().or(gpu.chip);
    }
    let candidates = on_bus.values().copied().filter(is_candidate);
    let gpus = candidates.map(|seen| {
        let by_kfd = known.remove(&seen.device.address).unwrap_or_default();
        read_gpu(root, seen, by_kfd)
    });
    gpus.flatten().collect()
}

/// Whose GPU a device may be; `None` for one of neither vendor and one of another class.
fn brand(seen: &Seen) -> Option<&'static str> {
    let is_shown = matches!(seen.device.class, PciClass::Display | PciClass::Accelerator);
    match seen.vendor {
        Some(vendor::AMD) if is_shown => Some("AMD"),
        Some(vendor::INTEL) if is_shown => Some("Intel"),
        _ => None,
    }
}

fn read_gpu(root: &Root, seen: &Seen, by_kfd: KfdGpu) -> Option<Gpu> {
    let file = |name: &str| format!("{}/{name}", seen.folder);
    // Connectors (`card0-DP-1`) are below the cards, and no files of theirs are in /dev/dri.
    let nodes = root.names(&file("drm")).unwrap_or_default().into_iter();
    let nodes: BTreeSet<String> = nodes
        .filter(|name| name.starts_with("card") || name.starts_with("renderD"))
        .collect();
    let has_render_node = nodes.iter().any(|name| name.starts_with("renderD"));
    if !has_render_node && by_kfd.ids.is_empty() {
        return None;
    }
    // The memory of amdgpu's; other drivers have no such files.
    let bytes = |name: &str| {
        let text = root.read(&file(name)).ok()?;
        value(&text).parse().ok().map(Bytes)
    };
    Some(Gpu {
        name: name(root, seen, by_kfd.chip),
        address: Some(seen.device.address),
        memory_total: bytes("mem_info_vram_total"),
        memory_used: bytes("mem_info_vram_used"),
        drm: Some(DrmGpu {
            nodes,
            kfd_ids: by_kfd.ids,
            host_memory_used: bytes("mem_info_gtt_used"),
        }),
        ..Gpu::default()
    })
}

/// The product's name where the board tells it (`product_name` of amdgpu's), else the chip's, else PCI's numbers: no table
/// of products is kept here.
fn name(root: &Root, seen: &Seen, chip: Option<String>) -> Option<String> {
    let product = root.read(&format!("{}/product_name", seen.folder));
    let product = product.map(|name| value(&name).to_owned());
    if let Some(product) = product.ok().filter(|name| !name.is_empty()) {
        return Some(product);
    }
    let brand = brand(seen)?;
    let device = read_as(root, &format!("{}/device", seen.folder), parse_hex);
    Some(match (chip, device) {
        (Some(chip), _) => format!("{brand} {chip}"),
        (None, Ok(device)) => format!("{brand} {:04x}:{device:04x}", seen.vendor?),
        (None, Err(_)) => brand.to_owned(),
    })
}
