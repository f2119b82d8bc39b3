//! Runs the real binary, as its users do, on recorded machines and on the machine of the tests.

// A test reports by panicking.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod arrows;
mod bad_input;
mod cli;
mod completions;
mod diff;
mod expected;
mod fix_words;
mod fixtures;
mod fleet;
mod fuzzed;
mod gres;
mod home_nodes;
mod html;
mod job_scope;
mod jobs;
mod kubernetes;
mod launchers;
mod left_behind;
mod live;
mod local_memory;
mod machine;
mod man;
mod memory;
mod metrics;
mod missing_facts;
mod new_masks;
mod one_core;
mod other_gpus;
mod page_sizes;
mod placement;
mod plan;
mod planned;
mod print;
mod program;
mod pty;
mod public_cases;
mod public_reports;
mod quiet;
mod record;
mod rules;
mod schema;
mod several_gpus;
mod show;
mod stuck;
mod svg;
mod targets;
mod terminal;
mod unseen;
mod unseen_facts;
mod watch;
mod which_processes;

#[path = "../support/mod.rs"]
mod support;
