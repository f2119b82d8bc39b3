//! Where the threads and the memory of a process are, relative to the nodes of its GPUs.

pub(crate) mod binding;
pub(crate) mod cpu;
pub(crate) mod home;
pub(crate) mod memory;
pub(crate) mod sampling_error;
pub(crate) mod threads;
pub(crate) mod verdict;
