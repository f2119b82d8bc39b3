//! The lab: the live program under real kernels with many NUMA nodes, beside other programs that look at the same processes.
//!
//! Each test boots one shape of machine (tests/lab/run.sh) under QEMU, has one of the scenarios in `guest` start jobs
//! of every kind there, and compares what the program said with what its peers said, outside.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod families;
mod guest;
mod machines;
mod memory;
mod movers;
mod nvml;
mod nvml_partly;
mod peers;
mod remedies;
mod shapes;
