//! The NVIDIA driver's answers, by its library NVML.

pub mod child;
pub mod lists;
pub mod query;
pub mod reconcile;
