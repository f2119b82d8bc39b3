//! Kernel and firmware settings that affect placement.

/// Settings; `None` for what could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KernelSettings {
    /// `/proc/sys/kernel/numa_balancing`. 0: off. Bit 1: moves pages to the node that uses them. Bit 2: moves cold pages to slower
    /// memory (tiering).
    pub(crate) numa_balancing: Option<u32>,
    /// `/proc/sys/vm/zone_reclaim_mode`. Unless it is 0, a full node drops page cache before memory of other nodes is used.
    pub(crate) zone_reclaim_mode: Option<u32>,
    /// The number of sockets of the node with all CPUs; `None` where several nodes have CPUs.
    pub(crate) sockets_of_single_node: Option<usize>,
}
