//! Where the threads and the memory of a process are, relative to the nodes of its GPUs.

pub(crate) mod binding;
pub mod cpu;
pub mod home;
pub mod memory;
pub(crate) mod sampling_error;
pub(crate) mod threads;
pub mod verdict;
