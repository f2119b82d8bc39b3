//! The GPUs, and the processes that use them.

pub mod drm;
pub mod drm_users;
pub mod fdinfo;
pub mod gpus;
pub mod kfd;
pub mod kfd_format;
pub mod nvidia;
pub mod nvml;
pub mod users;
