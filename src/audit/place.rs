//! Where the parts of a process are, against the nodes of its GPUs.

pub mod cpu;
pub mod home;
pub mod memory;
pub mod sampling_error;
pub mod threads;
pub mod verdict;
