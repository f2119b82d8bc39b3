//! Numbers that must not be confused, and sets of numbers: each has its own type, which parses, prints and serializes itself.

mod bytes;
mod cpus;
mod host_list;
mod limits;
mod list;
mod nodes;
mod pci_address;
mod percent;
mod pid;
mod text;
mod time;

pub(crate) use bytes::{Bytes, NodeBytes};
pub(crate) use cpus::{Cpu, CpuSet, parse_cpu_list, parse_cpu_mask};
pub(crate) use host_list::{fold_hosts, natural_order, parse_host_list};
pub(crate) use limits::Limits;
pub(crate) use list::ranges;
pub(crate) use nodes::{NodeId, NodeSet, node_list, parse_node_list};
pub(crate) use pci_address::PciAddress;
pub(crate) use percent::percent_of_one;
pub(crate) use pid::Pid;
pub(crate) use text::{Malformed, number, value};
pub(crate) use text::{QUOTED, malformed};
pub(crate) use time::{StartTicks, length, percent_of_time, seconds};
