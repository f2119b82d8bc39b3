//! The machine in the document: nodes, GPUs and other devices.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::MigDevice;
use crate::units::{Bytes, CpuSet, NodeId, NodeSet, PciAddress, Pid};
use crate::words::{HomeSource, PciClass, Word};

/// The NUMA nodes, GPUs and other devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TopologyEntry {
    /// The NUMA nodes by number.
    #[serde(default)]
    pub(crate) nodes: Vec<NodeEntry>,
    /// The GPUs by index.
    #[serde(default)]
    pub(crate) gpus: Vec<GpuEntry>,
    /// Network and storage controllers, displays and other accelerators, by PCI address.
    #[serde(default)]
    pub(crate) devices: Vec<DeviceEntry>,
    /// The processes that have a file of an accelerator open that is no GPU, or of a device that was given to a virtual
    /// machine. Absent where none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) device_users: Vec<DeviceUserEntry>,
    /// The cores in the order of Slurm's and hwloc's logical numbers: socket by socket. Absent in an audit, and where they are
    /// unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cores: Vec<CoreEntry>,
}

/// A core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CoreEntry {
    /// The kernel's number for its socket (physical_package_id).
    pub(crate) package: u32,
    /// Its online CPUs, one for each hardware thread.
    pub(crate) cpus: CpuSet,
}

/// A process that uses a device that is no GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeviceUserEntry {
    /// Its PID in the observer's PID namespace.
    pub(crate) pid: Pid,
    /// The main thread's name, which the kernel cuts to 15 bytes.
    #[serde(default)]
    pub(crate) name: String,
    /// The files of devices that it has open.
    #[serde(default)]
    pub(crate) files: Vec<String>,
}

/// A NUMA node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct NodeEntry {
    /// The kernel's number for it. Numbers may have gaps.
    pub(crate) id: NodeId,
    /// Its CPUs, empty for a node without any; null where they could not be read.
    pub(crate) cpus: Option<CpuSet>,
    /// MemTotal of its meminfo, in bytes; null where it is unknown.
    pub(crate) memory_total_bytes: Option<Bytes>,
    /// MemFree of its meminfo, in bytes; null where it is unknown.
    pub(crate) memory_free_bytes: Option<Bytes>,
    /// The page cache that the kernel can drop for other memory (FilePages without Shmem), in bytes; null where it is unknown.
    pub(crate) memory_reclaimable_bytes: Option<Bytes>,
    /// Its pools of huge pages, by page size; null where they are unknown.
    pub(crate) huge_pages: Option<Vec<HugePagesEntry>>,
    /// Distance to each online node, by node; 10 is a node's own. Null where they are unknown.
    pub(crate) distances: Option<BTreeMap<NodeId, u32>>,
    /// The kernel's number for the socket of its CPUs (physical_package_id). Absent for a node without CPUs, where it is unknown,
    /// and in documents of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) package: Option<u32>,
}

/// The huge pages of one size that a NUMA node has set aside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct HugePagesEntry {
    /// The size of a page, in bytes.
    pub(crate) page_bytes: Bytes,
    /// How many there are (nr_hugepages).
    pub(crate) total: u64,
    /// How many of them are free (free_hugepages).
    pub(crate) free: u64,
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct GpuEntry {
    /// NVML's index; without a driver's answer its position by PCI address. GPUs that NVML leaves out come after those that
    /// it lists, and GPUs of AMD and Intel after NVIDIA's.
    pub(crate) index: u32,
    /// Its UUID; null where the driver did not answer.
    pub(crate) uuid: Option<String>,
    /// The product's name; null where it is unknown.
    pub(crate) name: Option<String>,
    /// Its PCI address; null where it is unknown.
    pub(crate) pci_bus_id: Option<PciAddress>,
    /// The file by which processes use it, such as /dev/nvidia0. Absent where it is unknown, and where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_file: Option<String>,
    /// The nodes that it is attached to; empty where they are unknown.
    #[serde(default)]
    pub(crate) home_nodes: NodeSet,
    /// How the home nodes are known.
    #[serde(default)]
    pub(crate) home_source: Word<HomeSource>,
    /// What every source answered, by source.
    #[serde(default)]
    pub(crate) home_answers: BTreeMap<Word<HomeSource>, NodeSet>,
    /// Where its processes should run: the home nodes with CPUs or, where none has CPUs, the nearest nodes with CPUs. Empty
    /// where they are unknown.
    #[serde(default)]
    pub(crate) local_nodes: NodeSet,
    /// Where the memory of its processes should be: the home nodes with memory or, where none has memory, the nearest nodes
    /// with memory. Empty where they are unknown. Absent in documents of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_memory_nodes: Option<NodeSet>,
    /// Nodes that are not local and on the socket of a node that is, by CPUs or by memory. Absent in documents of older
    /// versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) near_nodes: Option<NodeSet>,
    /// The node that its own memory is (Grace, POWER9); empty for other GPUs.
    #[serde(default)]
    pub(crate) own_memory_nodes: NodeSet,
    /// Its own memory in bytes; null where it is unknown.
    pub(crate) memory_total_bytes: Option<Bytes>,
    /// Its own memory in use, in bytes; null where it is unknown.
    pub(crate) memory_used_bytes: Option<Bytes>,
    /// Its MIG devices by instance.
    #[serde(default)]
    pub(crate) mig_devices: Vec<MigDevice>,
    /// The partitions of a GPU of AMD (modes such as CPX). Absent for a GPU that is one whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) partitions: Vec<PartitionEntry>,
    /// How a GPU of AMD is partitioned, in the driver's words: its computing units (SPX, CPX), then its memory (NPS1, NPS4).
    /// Absent where the driver does not report it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) partition_modes: Vec<String>,
    /// Whether this audit covers the GPU even if no process uses it. Absent in a map and in documents of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_scope: Option<bool>,
    /// Whether all processes that use it are known. Absent in a map and in documents of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processes_known: Option<bool>,
    /// The processes that the driver lists on it and that could not be looked at. Absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unseen_processes: Vec<UnseenProcess>,
}

/// A process that the driver lists on a GPU and that could not be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct UnseenProcess {
    /// Its PID, as the driver lists it.
    pub(crate) pid: Pid,
    /// The GPU's memory that it has, in bytes; null where the driver does not report it.
    pub(crate) memory_bytes: Option<Bytes>,
    /// Why it could not be looked at.
    #[serde(default)]
    pub(crate) reason: String,
}

/// A partition of a GPU of AMD, which processes see as a GPU of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct PartitionEntry {
    /// Its number in the GPU, from 0 on.
    pub(crate) partition: u32,
    /// The name of its file in /dev/dri, such as renderD129; null where it is unknown.
    pub(crate) render_node: Option<String>,
    /// KFD's id for it.
    pub(crate) kfd_id: u32,
}

/// A PCI device that is not a GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeviceEntry {
    /// Its PCI address.
    pub(crate) pci_bus_id: PciAddress,
    /// What kind of device it is.
    #[serde(default)]
    pub(crate) class: Word<PciClass>,
    /// The kernel's names for it, separated by commas (eth0,mlx5_0); null where it has none.
    pub(crate) name: Option<String>,
    /// The node that it is attached to; null where it is unknown.
    pub(crate) node: Option<NodeId>,
    /// Of displays and accelerators the vendor, as far as it is known, with PCI's numbers (Huawei 19e5:d802). Absent for other
    /// devices, and where it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// The kernel driver that is bound to it; vfio-pci gives it to a virtual machine. Absent for devices other than displays and
    /// accelerators, and where it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) driver: Option<String>,
    /// Whether it may compute, so that processes may use it that this audit does not know. Absent where that is not so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) may_compute: bool,
}
