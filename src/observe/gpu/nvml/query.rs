//! Asks the NVIDIA driver, through libnvidia-ml.

use std::ffi::OsString;
use std::path::Path;

use nvml_wrapper::Nvml;
use nvml_wrapper::device::Device;
use nvml_wrapper::error::NvmlError;
use serde::{Deserialize, Serialize};

use crate::machine::nvml_answer::{DriverAnswer, DriverGpu, DriverProcess, MigDevice};
use crate::observe::gpu::gpus;
use crate::observe::gpu::nvml::lists::{instance_ids, processes};
use crate::observe::root::Root;
use crate::units::CpuSet;

/// Where the library is, by the names that dlopen(3) is to try in this order: what the loader finds,
/// then where a driver container and WSL keep it.
const LIBRARIES: &[&str] = &[
    "libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
];

/// More than any machine has.
pub const MOST_GPUS: u32 = 1024;

/// One piece of the answer, told as soon as the driver has given it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// It is being asked.
    Started,
    /// The driver's files below `/proc` have answered.
    FilesAnswer,
    /// What it says of itself, and how many GPUs it has; or why it says nothing.
    Driver(DriverAnswer, u32),
    /// One GPU.
    Gpu(DriverGpu),
}

/// Asks for the driver, and for its GPUs from this index on with their processes. Where nothing answers, the answer has
/// an error in place of GPUs. Any call may take as long as the driver likes.
pub fn ask(library: Option<&Path>, from: u32, tell: &mut dyn FnMut(Piece)) {
    // Its files too are written by the driver, which may be stuck: whoever else reads them wants to know.
    gpus::touch_driver_files(&Root::live());
    tell(Piece::FilesAnswer);
    let nvml = load(library).and_then(|nvml| {
        let count = nvml.device_count().map_err(|error| error.to_string())?;
        Ok((nvml, count.min(MOST_GPUS)))
    });
    let (nvml, count) = match nvml {
        Ok(there) => there,
        Err(error) => {
            let answer = DriverAnswer {
                error: Some(error),
                ..DriverAnswer::default()
            };
            return tell(Piece::Driver(answer, 0));
        }
    };
    let answer = DriverAnswer {
        driver_version: nvml.sys_driver_version().ok(),
        nvml_version: nvml.sys_nvml_version().ok(),
        cuda_driver_version: nvml.sys_cuda_driver_version().ok(),
        gpus: None,
        error: None,
    };
    tell(Piece::Driver(answer, count));
    for index in from..count {
        tell(Piece::Gpu(match nvml.device_by_index(index) {
            Ok(device) => gpu(&nvml, &device, index),
            // One GPU that fell off the bus does not hide the others.
            Err(error) => unanswered(index, error.to_string()),
        }));
    }
}

/// A GPU of which the driver has told nothing, and why.
pub fn unanswered(index: u32, error: String) -> DriverGpu {
    DriverGpu {
        index,
        error: Some(error),
        ..DriverGpu::default()
    }
}

fn load(library: Option<&Path>) -> Result<Nvml, String> {
    let candidates: Vec<OsString> = match library {
        Some(path) => vec![path.into()],
        None => LIBRARIES.iter().map(OsString::from).collect(),
    };
    let mut first_error = None;
    for candidate in &candidates {
        match Nvml::builder().lib_path(candidate).init() {
            Ok(nvml) if nvml.lib().nvmlShutdown.is_err() => {
                // The wrapper shuts it down when it goes, and panics where it cannot.
                std::mem::forget(nvml);
                return Err(format!("{} has no nvmlShutdown", candidate.display()));
            }
            Ok(nvml) => return Ok(nvml),
            // It is there: another copy of it would say the same.
            Err(error) if !matches!(error, NvmlError::LibloadingError(_)) => {
                return Err(error.to_string());
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let library = candidates[0].display();
    Err(match first_error {
        Some(NvmlError::LibloadingError(cause)) => cause.to_string(),
        Some(error) => format!("{library}: {error}"),
        None => format!("{library}: not found"),
    })
}

fn gpu(nvml: &Nvml, device: &Device, index: u32) -> DriverGpu {
    // In words of 64 bits: more CPUs and nodes than any kernel is built for.
    const CPU_WORDS: usize = 128;
    const NODE_WORDS: usize = 16;
    // NVML_AFFINITY_SCOPE_NODE
    const SCOPE_NODE: u32 = 0;
    let memory = device.memory_info().ok();
    let cpus = device.cpu_affinity(CPU_WORDS);
    let nodes = device.memory_affinity(NODE_WORDS, SCOPE_NODE);
    let mig_devices = mig_devices(nvml, device);
    let (processes, error) = match processes(nvml, device) {
        // The whole GPU's list is for those with the right to it; an instance's is for whoever was given it.
        (None, Some(NvmlError::NoPermission)) if !mig_devices.is_empty() => {
            processes_of_instances(nvml, &mig_devices)
        }
        answer => answer,
    };
    DriverGpu {
        index,
        uuid: device.uuid().ok(),
        name: device.name().ok(),
        pci_bus_id: device.pci_info().ok().map(|pci| pci.bus_id),
        minor_number: device.minor_number().ok(),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        memory_used_bytes: memory.map(|memory| memory.used),
        cpu_affinity: cpus.ok().and_then(bits),
        memory_affinity: nodes.ok().and_then(bits),
        numa_node_id: device.numa_node_id().ok().and_then(|id| id.try_into().ok()),
        mig_devices: mig_devices.into_iter().map(|(device, _)| device).collect(),
        processes,
        error: error.map(|error| error.to_string()),
    }
}

/// The MIG devices of a GPU with their handles, by instance. Most GPUs have none, and say so to the first question.
fn mig_devices<'nvml>(
    nvml: &'nvml Nvml,
    device: &Device<'nvml>,
) -> Vec<(MigDevice, Device<'nvml>)> {
    // NVML_DEVICE_MIG_ENABLE
    const ENABLED: u32 = 1;
    /// A GPU has 8 at most.
    const MOST: u32 = 64;
    if device.mig_mode().is_ok_and(|mode| mode.current != ENABLED) {
        return Vec::new();
    }
    let count = device.mig_device_count().unwrap_or(0).min(MOST);
    // A place that holds none answers NOT_FOUND.
    let handles = (0..count).filter_map(|index| device.mig_device_by_index(index).ok());
    let devices = handles.filter_map(|handle| {
        let (gpu_instance_id, compute_instance_id) = instance_ids(nvml, &handle).ok()?;
        let device = MigDevice {
            gpu_instance_id,
            compute_instance_id,
            uuid: handle.uuid().ok(),
        };
        Some((device, handle))
    });
    let mut devices: Vec<_> = devices.collect();
    devices.sort_by(|one, other| one.0.cmp(&other.0));
    devices
}

/// Who uses the instances of a GPU, by the lists of each. With it the first error, for which some may be missing.
fn processes_of_instances(
    nvml: &Nvml,
    devices: &[(MigDevice, Device)],
) -> (Option<Vec<DriverProcess>>, Option<NvmlError>) {
    let (mut found, mut first_error) = (None, None);
    for (device, handle) in devices {
        let (listed, error) = processes(nvml, handle);
        first_error = first_error.or(error);
        let Some(listed) = listed else { continue };
        let of_instance = listed.into_iter().map(|process| DriverProcess {
            gpu_instance_id: Some(device.gpu_instance_id),
            compute_instance_id: Some(device.compute_instance_id),
            ..process
        });
        found.get_or_insert_with(Vec::new).extend(of_instance);
    }
    (found, first_error)
}

/// The set bits as a list; `None` for none, which says nothing.
fn bits(words: Vec<u64>) -> Option<String> {
    let set = CpuSet::from_words(words);
    (!set.is_empty()).then(|| set.to_string())
}
