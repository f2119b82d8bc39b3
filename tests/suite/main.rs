//! The program as its users run it: its real binary on recorded machines and on this one.

// In a test a panic is how it speaks.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod arrows;
mod bad_input;
mod cli;
mod diff;
mod expected;
mod fixtures;
mod fuzzed;
mod live;
mod machine;
mod memory;
mod museum;
mod other_gpus;
mod print;
mod program;
mod public_cases;
mod record;
mod rules;
mod schema;
mod show;
mod stuck;
mod whose;
