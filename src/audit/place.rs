//! Where the threads and the memory of a process are, relative to the nodes of its GPUs.

pub(crate) mod binding;
pub(crate) mod cpu;
pub(crate) mod crowd;
pub(crate) mod decision;
pub(crate) mod devices;
pub(crate) mod home;
pub(crate) mod memory;
pub(crate) mod several;
pub(crate) mod threads;
pub(crate) mod verdict;

pub(crate) use binding::Binding;
pub(crate) use cpu::{CpuPlace, Threads};
pub(crate) use crowd::{SharedMask, crowded_masks};
pub(crate) use decision::{CpuPlacement, LastRun, decide};
pub(crate) use home::{GpuPlace, Hints};
pub(crate) use memory::{MemoryKind, MemoryPlace, PagePlace};
pub(crate) use several::FedFromElsewhere;
pub(crate) use threads::{PartialBinding, UnboundThreads, bindings};
pub(crate) use verdict::{LocalNodes, Locality, Verdict};
