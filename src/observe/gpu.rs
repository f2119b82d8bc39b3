//! The GPUs, and the processes that use them.

pub mod answered;
pub mod drm;
pub mod drm_format;
pub mod drm_users;
pub mod gpus;
pub mod kfd;
pub mod kfd_format;
pub mod nvidia;
pub mod nvml;
pub mod nvml_child;
pub mod nvml_lists;
pub mod users;
