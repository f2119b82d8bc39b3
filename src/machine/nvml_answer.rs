//! NVML's answers, in the form of a recording (`nvml.json`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// No machine has more GPUs.
pub(crate) const MOST_GPUS: u32 = 1024;

/// NVML's whole answer. Text and numbers are as the driver gave them; `null` where it gave none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DriverAnswer {
    /// The kernel driver's version, such as `580.159.04`.
    pub(crate) driver_version: Option<String>,
    /// The library's version.
    pub(crate) nvml_version: Option<String>,
    /// CUDA's version, as 1000 × major + 10 × minor.
    pub(crate) cuda_driver_version: Option<i32>,
    /// The GPUs by index. `None` if and only if there is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gpus: Option<Vec<DriverGpu>>,
    /// Why there are no GPUs: no library, no driver, no permission.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// One GPU, by NVML. It is not asked for the UUID, the name and the minor number of a GPU whose `information` below
/// `/proc/driver/nvidia` has them: they are `None` then, and a recording has that file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DriverGpu {
    /// NVML's index.
    pub(crate) index: u32,
    /// `GPU-…`.
    pub(crate) uuid: Option<String>,
    /// The product's name.
    pub(crate) name: Option<String>,
    /// With eight digits of domain, upper case: `00000000:10:1C.0`.
    pub(crate) pci_bus_id: Option<String>,
    /// N of `/dev/nvidiaN`.
    pub(crate) minor_number: Option<u32>,
    /// The size of its own memory.
    pub(crate) memory_total_bytes: Option<u64>,
    /// The part of it that is in use.
    pub(crate) memory_used_bytes: Option<u64>,
    /// The list of the CPUs near it, such as `0-23,48-71`.
    pub(crate) cpu_affinity: Option<String>,
    /// The list of the nodes near it.
    pub(crate) memory_affinity: Option<String>,
    /// The node that is its own memory (Grace), not the node that it is attached to.
    pub(crate) numa_node_id: Option<i32>,
    /// Its MIG devices by instance. Empty where MIG is off or unsupported, and where the driver does not report them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mig_devices: Vec<MigDevice>,
    /// The processes that use it; `None` where the driver did not list them.
    pub(crate) processes: Option<Vec<DriverProcess>>,
    /// Why the processes are missing, or some of them may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// The errors of the other questions, by field: `uuid`, `name`, `pci_bus_id`, `minor_number`, `memory`. Each question that
    /// fails costs its own answer only.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) unanswered: BTreeMap<String, String>,
}

/// One MIG device: a compute instance of a GPU instance, nvidia-smi's `GI ID` and `CI ID`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
pub(crate) struct MigDevice {
    /// The GPU instance.
    pub(crate) gpu_instance_id: u32,
    /// The compute instance in it.
    pub(crate) compute_instance_id: u32,
    /// `MIG-…`, as in CUDA_VISIBLE_DEVICES.
    #[serde(default)]
    pub(crate) uuid: Option<String>,
}

/// One entry of NVML's process lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DriverProcess {
    /// In the PID namespace of the process that queried NVML.
    pub(crate) pid: u32,
    /// The list that contains it.
    pub(crate) kind: ListKind,
    /// Bytes of GPU memory; `None` where the driver does not count it.
    #[serde(default)]
    pub(crate) used_memory_bytes: Option<u64>,
    /// The MIG GPU instance.
    #[serde(default)]
    pub(crate) gpu_instance_id: Option<u32>,
    /// The MIG compute instance.
    #[serde(default)]
    pub(crate) compute_instance_id: Option<u32>,
}

impl DriverProcess {
    /// Whether the process has a context. MPS lists a client on every GPU of its daemon, with 0 bytes where it has no context
    /// (seen on driver 580).
    pub(crate) fn has_context(&self) -> bool {
        !(self.kind == ListKind::Mps && self.used_memory_bytes == Some(0))
    }
}

/// NVML's lists of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListKind {
    /// CUDA contexts.
    Compute,
    /// OpenGL and Vulkan.
    Graphics,
    /// Clients of an MPS server.
    Mps,
}
