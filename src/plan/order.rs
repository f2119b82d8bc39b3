//! Which GPU each rank uses.

use std::str::FromStr;

use crate::document::{Document, GpuEntry};

/// The order in which ranks get GPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum GpuOrder {
    /// By index: NVML's numbers.
    #[default]
    Nvml,
    /// By PCI address.
    Pci,
    /// As in this value of CUDA_VISIBLE_DEVICES; `None` for the value of the variable here.
    CudaVisibleDevices(Option<String>),
}

impl FromStr for GpuOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "nvml" => Ok(Self::Nvml),
            None if text == "pci" => Ok(Self::Pci),
            None if text == "cuda-visible-devices" => Ok(Self::CudaVisibleDevices(None)),
            Some(("cuda-visible-devices", list)) => {
                Ok(Self::CudaVisibleDevices(Some(list.to_owned())))
            }
            _ => Err("not nvml, pci, cuda-visible-devices or cuda-visible-devices=LIST".to_owned()),
        }
    }
}

/// The indexes of the GPUs by rank: all of the machine, or those of `only`, in this order. `visible` is the value of
/// CUDA_VISIBLE_DEVICES, where the order is by it.
///
/// # Errors
/// Where the order needs what is unknown, or names a GPU that is not there.
pub(crate) fn ranks_in_order(
    map: &Document,
    only: Option<&[u32]>,
    order: &GpuOrder,
    visible: Option<&str>,
) -> Result<Vec<u32>, String> {
    let gpus = &map.topology.gpus;
    let ordered: Vec<&GpuEntry> = match order {
        GpuOrder::Nvml => gpus.iter().collect(),
        GpuOrder::Pci => {
            let nameless = gpus.iter().find(|gpu| gpu.pci_bus_id.is_none());
            if let Some(gpu) = nameless {
                return Err(format!("the PCI address of GPU {} is unknown", gpu.index));
            }
            let mut gpus: Vec<&GpuEntry> = gpus.iter().collect();
            gpus.sort_by_key(|gpu| gpu.pci_bus_id);
            gpus
        }
        GpuOrder::CudaVisibleDevices(list) => {
            let list = list.as_deref().or(visible);
            let list = list.ok_or("CUDA_VISIBLE_DEVICES is not set here: give its value, as in cuda-visible-devices=2,0")?;
            in_list(list, gpus)?
        }
    };
    let is_meant = |gpu: &&GpuEntry| only.is_none_or(|only| only.contains(&gpu.index));
    let ordered = ordered.into_iter().filter(is_meant);
    Ok(ordered.map(|gpu| gpu.index).collect())
}

/// The GPUs of a value of CUDA_VISIBLE_DEVICES. CUDA would silently end the list at the first word that is wrong.
fn in_list<'a>(list: &str, gpus: &'a [GpuEntry]) -> Result<Vec<&'a GpuEntry>, String> {
    let mut found: Vec<&GpuEntry> = Vec::new();
    for word in list
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        if word.starts_with("MIG-") {
            return Err(format!(
                "{word:?} is a MIG device: plan the GPU that it is part of"
            ));
        }
        let index = word.parse::<u32>().ok();
        let is_named = |gpu: &&GpuEntry| {
            let uuid = gpu.uuid.as_deref();
            index == Some(gpu.index)
                || (word.starts_with("GPU-") && uuid.is_some_and(|uuid| uuid.starts_with(word)))
        };
        let mut named = gpus.iter().filter(is_named);
        let (Some(gpu), None) = (named.next(), named.next()) else {
            return Err(format!("no single GPU is {word:?} of CUDA_VISIBLE_DEVICES"));
        };
        if found.iter().any(|of| of.index == gpu.index) {
            return Err(format!(
                "CUDA_VISIBLE_DEVICES names GPU {} twice",
                gpu.index
            ));
        }
        found.push(gpu);
    }
    Ok(found)
}
