//! The GPUs, and the processes that use them.

pub(crate) mod drm;
pub(crate) mod drm_users;
pub mod fdinfo;
pub(crate) mod gpus;
pub mod kfd;
pub mod nvidia;
pub mod nvml;
pub(crate) mod users;
