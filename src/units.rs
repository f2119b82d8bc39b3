//! Numbers that must not be confused, and sets of numbers: each has its own type, which parses, prints and serializes itself.

mod bytes;
mod cpus;
mod list;
mod nodes;
mod pci_address;
mod percent;
mod pid;
mod text;
mod time;

pub use bytes::{Bytes, NodeBytes};
pub use cpus::{Cpu, CpuSet, parse_cpu_list, parse_cpu_mask};
pub use list::ranges;
pub use nodes::{NodeId, NodeSet, node_list, parse_node_list};
pub use pci_address::PciAddress;
pub use percent::{percent, percent_of_one};
pub use pid::Pid;
pub use text::{Malformed, number, value};
pub(crate) use text::{QUOTED, malformed};
pub use time::{length, percent_of_time, seconds};
