//! numa-audit: where deep-learning processes run and where their memory lies, against the NUMA nodes of
//! their GPUs.
//!
//! # The house
//!
//! Data flows one way: [`observe`] → [`machine::Machine`] → [`audit`] → [`document`] → [`print`]. HOUSE.
//!
//! A test (`tests/suite/arrows.rs`) holds these arrows.
//!
//! # The road of one number
//!
//! The `1: 100% 80 MiB` in the table's MEMORY BY NODE: `/proc/254/numa_maps` is read line by line by
//! `source/memory/walk.rs` on one of the threads of `source/readers.rs`, and [`parse::numa_maps`] adds pages up by what
//! backs them into [`model::memory::Memory`]. Of a large process (`1: ~100% 80 GiB`) `source/memory/sample.rs` reads the
//! mappings from `maps`, asks the kernel where some of their pages lie, and `estimate.rs` makes the same
//! [`model::memory::Memory`] of the answers. [`audit::memory`] makes kinds of them (pinned, if the process holds a GPU context)
//! and holds them against the local nodes; `report/rows.rs` writes the cell, `report/json.rs` the
//! `by_node_bytes`.
//!
//! # One audit against another
//!
//! `diff` and `--expect` compare [`model::outline`]: an audit as far as its JSON document tells. [`parse::report`] reads it from
//! a document that [`report::json`] wrote, [`audit::outline`] makes it of an [`audit::Report`] at hand, and a test holds that
//! both are the same. A field of the document that is to be compared is in all three.
//!
//! # Looking for longer than a moment
//!
//! With `--for`, [`source::watch`] looks at the threads of the processes that matter until the time is up; the
//! observation that comes then is the same as ever, and has what was seen beside it ([`model::window`]).
//!
//! # What holds everywhere
//!
//! - Missing is not zero: no default stands in for a fact.
//! - Live and recorded differ in [`source::Root`], in where NVML's answers come from, and in that single pages can be asked
//!   for on a live machine alone (`source/memory`). Nothing above knows which it is. A recording is what one observation
//!   read, kept as it passed through the `Root`.
//! - Sorted by number: two runs over one tree print the same bytes.
//! - Nothing is waited for without end. Files whose reader may have to wait for the process (argv, environment, memory) are
//!   read on threads that can be left behind (`source/readers.rs`), after all that cannot wait; NVML is asked by a process
//!   of our own (`source/asking.rs`); and there is a time for the whole ([`source::Source::within`]).
//! - All text that a process or a recorded tree chose is hostile: parsers cannot panic, tables show it through
//!   [`report::terminal::harmless`].
//!
//! # What is not here
//!
//! Nothing writes, but [`record`]. Nothing changes a process, its affinity or its memory. There is no daemon, no
//! configuration file, no network.

pub mod audit;
pub mod cli;
pub mod commands;
pub mod compare;
pub mod document;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod jobs;
pub mod machine;
pub mod observe;
pub mod print;
pub mod record;
pub mod units;
