//! The metrics in the programs that they are for: Prometheus, promtool and node_exporter (Debian's packages prometheus and
//! prometheus-node-exporter), and systemd's check of the service.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod prometheus;
mod service;
mod started;

#[path = "../support/mod.rs"]
#[allow(dead_code)]
mod support;
