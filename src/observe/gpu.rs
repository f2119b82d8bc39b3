//! The GPUs, and the processes that use them.

pub(crate) mod device_users;
pub(crate) mod drm;
pub(crate) mod drm_users;
pub(crate) mod fdinfo;
pub(crate) mod gpus;
pub(crate) mod kfd;
pub(crate) mod module_files;
pub(crate) mod nvidia;
pub(crate) mod nvml;
pub(crate) mod users;

pub(crate) use fdinfo::{DrmClient, parse_fdinfo};
pub(crate) use kfd::KfdGpu;
