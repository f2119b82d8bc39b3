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
mod fix_words;
mod fixtures;
mod fuzzed;
mod launchers;
mod live;
mod local_memory;
mod machine;
mod memory;
mod museum;
mod new_masks;
mod one_core;
mod other_gpus;
mod print;
mod program;
mod record;
mod rules;
mod schema;
mod several_gpus;
mod show;
mod stuck;
mod targets;
mod unseen_facts;
mod whose;
