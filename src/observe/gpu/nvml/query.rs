//! Queries the NVIDIA driver through libnvidia-ml. Any call may block for as long as the driver likes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use nvml_wrapper::Nvml;
use nvml_wrapper::device::Device;
use nvml_wrapper::error::NvmlError;
use serde::{Deserialize, Serialize};

use crate::machine::{DriverAnswer, DriverGpu, DriverProcess, MOST_GPUS, MigDevice};
use crate::observe::gpu::nvidia;
use crate::observe::gpu::nvml::{
    instance_ids, is_unsupported, memory_sizes, pci_bus_id, processes,
};
use crate::observe::root::Root;
use crate::units::{CpuSet, PciAddress};

/// The names of the library for dlopen(3), in this order: what the loader finds, then the paths of a driver container and of
/// WSL.
const LIBRARIES: &[&str] = &[
    "libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
    "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
];

/// One part of the answer, sent as soon as the driver has given it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NvmlMessage {
    /// The query has started.
    Started,
    /// The driver's files below `/proc` could be read.
    FilesAnswer,
    /// The driver's versions, or its error, and the number of GPUs.
    Driver(DriverAnswer, u32),
    Gpu(DriverGpu),
}

/// Sends the driver's answer, and those of its GPUs from this index on with their processes. Where the library cannot be
/// used, the driver's answer has an error.
pub(crate) fn query(library: Option<&Path>, from: u32, send: &mut dyn FnMut(NvmlMessage)) {
    // The driver writes these files too, so a stuck driver blocks their readers.
    let files = nvidia::read_all(&Root::live());
    send(NvmlMessage::FilesAnswer);
    let nvml = load(library).and_then(|nvml| {
        let count = nvml.device_count().map_err(|error| error.to_string())?;
        Ok((nvml, count.min(MOST_GPUS)))
    });
    let (nvml, count) = match nvml {
        Ok(loaded) => loaded,
        Err(error) => {
            let answer = DriverAnswer {
                error: Some(error),
                ..DriverAnswer::default()
            };
            return send(NvmlMessage::Driver(answer, 0));
        }
    };
    let answer = DriverAnswer {
        driver_version: nvml.sys_driver_version().ok(),
        nvml_version: nvml.sys_nvml_version().ok(),
        cuda_driver_version: nvml.sys_cuda_driver_version().ok(),
        gpus: None,
        error: None,
    };
    send(NvmlMessage::Driver(answer, count));
    let described = nvidia::described(&files, count);
    for index in from..count {
        send(NvmlMessage::Gpu(match nvml.device_by_index(index) {
            Ok(device) => gpu(&nvml, &device, index, &described),
            // A GPU that fell off the bus does not hide the others.
            Err(error) => failed_gpu(index, error.to_string()),
        }));
    }
}

/// A GPU about which the driver has not answered.
pub(crate) fn failed_gpu(index: u32, error: String) -> DriverGpu {
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
                // The wrapper's Drop calls it, and panics where it does not exist.
                std::mem::forget(nvml);
                return Err(format!("{} has no nvmlShutdown", candidate.display()));
            }
            Ok(nvml) => return Ok(nvml),
            // The library was found: another copy would give the same error.
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

/// The answers about one GPU. Name, UUID and minor number are not asked for where its files describe it: its address, by which
/// they are found, is only known to NVML for an index.
fn gpu(nvml: &Nvml, device: &Device, index: u32, described: &BTreeSet<PciAddress>) -> DriverGpu {
    // 64-bit words: more CPUs and nodes than any kernel supports.
    const CPU_WORDS: usize = 128;
    const NODE_WORDS: usize = 16;
    // NVML_AFFINITY_SCOPE_NODE
    const SCOPE_NODE: u32 = 0;
    let mut unanswered = Unanswered::default();
    let address = unanswered.value("pci_bus_id", pci_bus_id(nvml, device));
    let parsed = address.as_ref().and_then(|address| address.parse().ok());
    let is_asked = parsed.is_none_or(|address| !described.contains(&address));
    let memory = unanswered.value("memory", memory_sizes(nvml, device));
    let cpus = device.cpu_affinity(CPU_WORDS);
    let nodes = device.memory_affinity(NODE_WORDS, SCOPE_NODE);
    let (mig_devices, mig_error) = mig_devices(nvml, device);
    let (processes, error) = match processes(nvml, device) {
        // The list of a whole GPU needs a permission; the list of a MIG instance needs access to that instance only.
        (None, Some(NvmlError::NoPermission)) if !mig_devices.is_empty() => {
            let (found, error) = processes_of_instances(nvml, &mig_devices);
            (found, mig_error.or(error))
        }
        answer => answer,
    };
    DriverGpu {
        index,
        uuid: is_asked
            .then(|| unanswered.value("uuid", device.uuid()))
            .flatten(),
        name: is_asked
            .then(|| unanswered.value("name", device.name()))
            .flatten(),
        pci_bus_id: address,
        minor_number: is_asked
            .then(|| unanswered.value("minor_number", device.minor_number()))
            .flatten(),
        memory_total_bytes: memory.map(|(total, _)| total),
        memory_used_bytes: memory.map(|(_, used)| used),
        cpu_affinity: cpus.ok().and_then(bits),
        memory_affinity: nodes.ok().and_then(bits),
        numa_node_id: device.numa_node_id().ok().and_then(|id| id.try_into().ok()),
        mig_devices: mig_devices.into_iter().map(|(device, _)| device).collect(),
        processes,
        error: error.map(|error| error.to_string()),
        unanswered: unanswered.0,
    }
}

/// Collects the questions that failed, by field.
#[derive(Default)]
struct Unanswered(BTreeMap<String, String>);

impl Unanswered {
    /// The value of an answer. A question that the driver does not support is not an error.
    fn value<T>(&mut self, field: &str, answer: Result<T, NvmlError>) -> Option<T> {
        match answer {
            Ok(value) => return Some(value),
            Err(error) if is_unsupported(&error) => {}
            Err(error) => drop(self.0.insert(field.to_owned(), error.to_string())),
        }
        None
    }
}

/// The MIG devices of a GPU with their handles, by instance, and the first error: with an error some may be missing. For most GPUs the first call shows that MIG is off.
fn mig_devices<'nvml>(
    nvml: &'nvml Nvml,
    device: &Device<'nvml>,
) -> (Vec<(MigDevice, Device<'nvml>)>, Option<NvmlError>) {
    // NVML_DEVICE_MIG_ENABLE
    const ENABLED: u32 = 1;
    /// A GPU has at most 8.
    const MOST: u32 = 64;
    if device.mig_mode().is_ok_and(|mode| mode.current != ENABLED) {
        return (Vec::new(), None);
    }
    let mut first_error = None;
    let mut keep = |error: NvmlError| {
        let is_usual = is_unsupported(&error) || matches!(error, NvmlError::NotFound);
        if !is_usual && first_error.is_none() {
            first_error = Some(error);
        }
    };
    let count = device.mig_device_count().map_err(&mut keep).unwrap_or(0);
    let mut devices = Vec::new();
    for index in 0..count.min(MOST) {
        // An empty slot returns NOT_FOUND.
        let read = device.mig_device_by_index(index).and_then(|handle| {
            let (gpu_instance_id, compute_instance_id) = instance_ids(nvml, &handle)?;
            let device = MigDevice {
                gpu_instance_id,
                compute_instance_id,
                uuid: handle.uuid().ok(),
            };
            Ok((device, handle))
        });
        devices.extend(read.map_err(&mut keep));
    }
    devices.sort_by(|one, other| one.0.cmp(&other.0));
    (devices, first_error)
}

/// The processes in the lists of the MIG instances of a GPU, and the first error: with an error some may be missing.
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

/// The set bits as a list; `None` where no bit is set: NVML does not know.
fn bits(words: Vec<u64>) -> Option<String> {
    let set = CpuSet::from_words(words);
    (!set.is_empty()).then(|| set.to_string())
}
