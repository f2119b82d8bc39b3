//! The lab: the live program under real kernels with many NUMA nodes, beside other programs that look at the same processes.
//!
//! Each test boots one shape of machine (tests/lab/run.sh) under QEMU, has `guest/scenario` start jobs of every kind
//! of placement there, and compares what the program said with what its peers said, outside.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod guest;
mod machines;
mod nvml;
mod peers;
mod shapes;
