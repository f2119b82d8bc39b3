//! numa-audit: where deep-learning processes run and where their memory is, compared with the NUMA nodes of their GPUs.
//!
//! # Layers
//!
//! Data flows one way: [`observe`] → [`machine::Machine`] → [`audit`] → [`document`] → [`mod@print`].
//!
//! | module | task | may use |
//! | --- | --- | --- |
//! | [`units`] | numbers with a type: `Pid`, `CpuSet`, `NodeId`, `Bytes`, `PciAddress`; text and JSON of each | |
//! | [`words`] | the enums that are written as words (roles, verdicts, severities, sources), for all layers | |
//! | [`machine`] | what was observed of a machine, before it is judged; missing facts (`gap`) | units, words |
//! | [`document`] | the report: one set of types for JSON, schema, CSV, tables, `diff` and exit codes | units, words, machine |
//! | [`jobs`] | which process belongs to which job, GPU and trainer; pure | units, words, machine |
//! | [`observe`] | reads a running or a recorded machine | units, words, machine, jobs, document |
//! | [`compare`] | compares documents: `diff`, `--expect`, `fleet` | units, words, document |
//! | [`plan`] | before a job: where its ranks should run, from a map | units, words, document |
//! | [`audit`] | places and judges processes, runs the rules, makes the document (`entries/`) | units, words, machine, jobs, document, compare |
//! | [`mod@print`] | the forms of a document: tables, JSON, CSV, remedies, metrics, pictures, pages, plans | units, words, document, compare, plan |
//! | [`screen`] | the screen of `watch`: keys and documents in, frames out | units, words, document, print |
//! | [`record`] | writes a recording: the files that one observation read | units, words, machine, jobs, observe |
//! | [`cli`], [`commands`] | arguments, and one file for each subcommand | everything |
//!
//! The test `tests/suite/arrows.rs` checks these arrows. Only `observe` and `record` open files (and what `man --dir`,
//! `plan --dir`, `metrics --output`, `--svg` and `--html` write); only `print` and the commands write to the terminal. `audit`,
//! `jobs`, `compare`, `document` and `plan` know no file, no clock and no terminal.
//!
//! # Where is ... read?
//!
//! Each kernel file has one source file with its format, its parser, its reader and its tests.
//!
//! | fact | file below `src/observe` |
//! | --- | --- |
//! | opening files, of a live system, a folder or an archive | `root.rs`, `root/` |
//! | documents of other audits; many of them, one at a time | `audit_file.rs`; `documents/` |
//! | nodes, CPUs, distances, sockets; PCI devices | `nodes.rs`, `pci.rs` |
//! | GPUs: NVML, NVIDIA's /proc files, DRM, KFD | `gpu/` (`nvml/` has the child process that asks the library) |
//! | topology files of NCCL and hwloc | `topology_file.rs` |
//! | process: stat, status, cmdline, environ, fd, cgroup, cpuset, threads | `process/` |
//! | memory: maps, `numa_maps`, mountinfo, `memory.numa_stat`; samples by move_pages | `memory/` |
//! | `--for` and `watch`: CPU time by node, migrations, counters | `watch/` |
//! | host name, kernel, boot time; kernel settings | `host.rs`, `kernel_settings.rs` |
//! | this program itself: its CPUs, its job, its signals | `own_process.rs` |
//!
//! A judgement is in `audit/place` (verdicts of one process) or in `audit/rules` (one file for each finding). Where a process
//! should be, and what is in the way, is in `audit/target`; a launcher's words for a fix are a row of
//! `audit/rules/launcher_words.rs`.
//!
//! # The way of one number
//!
//! The `1: 100% 80 MiB` in the table's column MEMORY BY NODE: `observe/memory/numa_maps/walk.rs` reads `/proc/254/numa_maps` on a
//! thread of `observe/process/pool.rs`, and `numa_maps.rs` sums the pages by backing into [`machine::memory::Memory`]. For a large
//! process (`1: ~100% 80 GiB`) `sample.rs` reads `maps`, queries the nodes of some pages, and `estimate.rs` makes the same
//! `Memory` of the answers. `audit/place/memory.rs` turns backings into memory kinds and compares their nodes with the local
//! nodes. The document has the bytes by node; `print/rows.rs` writes the cell.
//!
//! # Metrics
//!
//! `print/metrics.rs` makes the text of a document. `commands/metrics.rs` says how it is repeated (`rounds.rs`: each audit is this
//! program started again, `round.rs`) and served (`server.rs`). contrib/ has what Prometheus, Grafana and systemd read.
//!
//! # Pages and pictures
//!
//! `print/picture.rs` draws a document as SVG; `print/html.rs` makes a page around it, with the cells of the terminal's tables
//! (`print/rows/unfolded.rs`). `commands/export.rs` writes both. tests/browser opens the pages in Chromium.
//!
//! # Plans
//!
//! `plan.rs` gives each rank CPUs and memory nodes, from a map, and makes a [`document::PlanDocument`]. `print/plan/` has a file for
//! each form of it; one that cannot express a plan says why. `compare/planned.rs` compares a running job with it (`--expect`).
//!
//! # The screen
//!
//! `commands/watch` has the loop (`session.rs`), the terminal (`tty.rs`) and the observer, a process of this program that
//! samples threads without a hole (`observe/watch/continuous.rs`) and forks a child for each audit (`observer.rs`). `screen/` has
//! the state (`state.rs`), what keys and answers do to it (`update.rs`, `replied.rs`) and how it is drawn (`draw.rs`): `list.rs`
//! takes the rows of `print/rows.rs`.
//!
//! # One more field, one more form
//!
//! A field of the report is declared once, in `document/`, with its description for the schema, and is filled in
//! `audit/entries/`. To let `diff` compare it, add a line to `compare/fields.rs`. Another form of the report is a file in `print/`
//! that takes a [`document::Document`], and its option in `cli` and `commands`. The rules do not read the document: they read the
//! placed processes, and the document is made after them. `--expect` compares the document with another one and adds its findings.
//!
//! # Rules that hold everywhere
//!
//! - Missing is not zero: no default replaces a fact. A missing fact is `None` and has a [`machine::gap::Gap`] with the reason.
//! - Live and recorded machines share one path. They differ in [`observe::root::Root`], in the source of NVML's answers, and in queries
//!   of single pages, affinities and thread policies, which only a live machine answers.
//! - Sorted by number: two runs over one tree print the same bytes.
//! - No wait is without end. Files that may block their reader are read on threads that can be abandoned
//!   (`observe/process/pool.rs`), in a child process that can be left behind if a thread cannot even be killed
//!   (`commands/guard.rs`, `observe/process/left_behind.rs`). NVML runs in another child process, and the whole observation
//!   has a deadline.
//! - Text from a process or a recording is hostile: parsers do not panic, and tables print it escaped.
//! - The program only reads; only [`record`], `man --dir`, `plan --dir`, `metrics --output`, `--svg` and `--html` write files.
//!   There is no configuration file, and no network unless `metrics --listen` asks for it.

pub(crate) mod audit;
pub(crate) mod cli;
pub mod commands;
pub(crate) mod compare;
pub(crate) mod document;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod jobs;
pub(crate) mod machine;
pub(crate) mod observe;
pub(crate) mod plan;
pub(crate) mod print;
pub(crate) mod record;
pub(crate) mod screen;
pub(crate) mod units;
pub(crate) mod words;
