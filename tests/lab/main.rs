//! The lab: the live program under real kernels with many NUMA nodes, compared with other programs on the same processes.
//!
//! Each test boots one shape of machine (tests/lab/run.sh) under QEMU, lets one of the scenarios in `guest` start jobs
//! of every kind there, and compares, on the host, the program's report with those of the other programs.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod arm64;
mod driver_files;
mod families;
mod guest;
mod machines;
mod memory;
mod movers;
mod nvml;
mod nvml_partly;
mod peers;
mod plan;
mod remedies;
mod shapes;
mod watch;

#[path = "../support/mod.rs"]
mod support;
