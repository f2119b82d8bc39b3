//! The program and contrib/slurm under a real Slurm: one controller and three nodes, all on this machine.
//!
//! It needs root and Debian's packages slurmctld, slurmd, slurm-client and munge, hwloc-nox for the order of cores, and numactl.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod cluster;
mod fleet;
mod gres;
mod health_check;
mod plan;
mod steps;

#[path = "../support/mod.rs"]
#[allow(dead_code)] // Other test programs use the rest.
mod support;
