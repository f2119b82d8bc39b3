//! What the NVIDIA driver answers through its library, NVML.

pub(crate) mod child;
mod lists;
mod query;
pub(crate) mod reconcile;
pub(crate) mod recorded;
