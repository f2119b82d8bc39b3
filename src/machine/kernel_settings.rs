//! KernelSettings of the kernel that move pages under a job, or make one node of several.

/// `None` for what could not be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelSettings {
    /// `/proc/sys/kernel/numa_balancing`: 0 off; bit 1 moves pages to the node that uses them, bit 2 moves cold ones to
    /// slower memory (tiering).
    pub numa_balancing: Option<u32>,
    /// `/proc/sys/vm/zone_reclaim_mode`: other than 0, a node that is full gives up page cache before others are asked.
    pub zone_reclaim_mode: Option<u32>,
    /// The sockets of the one node that has all CPUs; not counted where several have some.
    pub sockets_of_single_node: Option<usize>,
}
