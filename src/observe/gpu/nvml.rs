//! What the NVIDIA driver answers through its library, NVML.

pub(crate) mod child;
mod details;
mod lists;
mod query;
pub(crate) mod reconcile;
pub(crate) mod recorded;

pub(crate) use child::{Invocation, NvmlClient, NvmlQuery, NvmlReply};
pub(crate) use details::{memory_sizes, pci_bus_id};
pub(crate) use lists::{instance_ids, is_unsupported, processes};
pub(crate) use query::{NvmlMessage, failed_gpu};
pub(crate) use reconcile::{drop_later_processes, finish_query};
pub(crate) use recorded::parse_nvml;
