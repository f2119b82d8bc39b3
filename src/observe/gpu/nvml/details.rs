//! Answers about one GPU that the wrapper does not give in a safe or complete way.
#![allow(unsafe_code)] // The wrapper reads a bus id beyond its end where it has no NUL, and knows only one memory function.

use std::mem;

use nvml_wrapper::Nvml;
use nvml_wrapper::device::Device;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper_sys::bindings::{nvmlMemory_t, nvmlPciInfo_t};

/// The PCI address as the driver writes it, at most as long as its field.
pub(crate) fn pci_bus_id(nvml: &Nvml, device: &Device) -> Result<String, NvmlError> {
    let function = nvml_sym(nvml.lib().nvmlDeviceGetPciInfo_v3.as_ref())?;
    // SAFETY: the structure has only numbers and bytes.
    let mut info: nvmlPciInfo_t = unsafe { mem::zeroed() };
    // SAFETY: the handle belongs to an initialised library, which fills the structure.
    nvml_try(unsafe { function(device.handle(), &mut info) })?;
    let bytes = info.busId.iter().map(|letter| letter.to_ne_bytes()[0]);
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The size of the GPU's own memory, and how much of it is in use. Drivers before 510 have only the first version of the
/// function.
pub(crate) fn memory_sizes(nvml: &Nvml, device: &Device) -> Result<(u64, u64), NvmlError> {
    match device.memory_info() {
        Ok(memory) => Ok((memory.total, memory.used)),
        Err(NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound) => {
            first_memory_sizes(nvml, device)
        }
        Err(error) => Err(error),
    }
}

fn first_memory_sizes(nvml: &Nvml, device: &Device) -> Result<(u64, u64), NvmlError> {
    let function = nvml_sym(nvml.lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    // SAFETY: the structure has only numbers.
    let mut memory: nvmlMemory_t = unsafe { mem::zeroed() };
    // SAFETY: the handle belongs to an initialised library, which fills the structure.
    nvml_try(unsafe { function(device.handle(), &mut memory) })?;
    Ok((memory.total, memory.used))
}
