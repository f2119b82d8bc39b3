//! Settings of the kernel that move the pages of a job, or that merge several sockets into one node.

/// `None` for a setting that could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelSettings {
    /// `/proc/sys/kernel/numa_balancing`: 0 is off; bit 1 moves pages to the node that uses them, bit 2 moves cold pages
    /// to slower memory (tiering).
    pub numa_balancing: Option<u32>,
    /// `/proc/sys/vm/zone_reclaim_mode`: other than 0, a full node frees page cache before it takes memory of other nodes.
    pub zone_reclaim_mode: Option<u32>,
    /// The sockets of the only node with CPUs. `None` where several nodes have CPUs.
    pub sockets_of_single_node: Option<usize>,
}
