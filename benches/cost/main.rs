//! The cost of an audit, compared with other programs on the same processes, and how much it disturbs a process.
//!
//! ```sh
//! cargo bench --bench cost                # minutes, and up to 17 GiB of memory
//! cargo bench --bench cost -- --quick     # seconds: checks that it works, the figures mean nothing
//! cargo bench --bench cost -- --before PATH   # another build of numa-audit takes turns with this one
//! ```
//!
//! Builds a load (load.c), runs every program on it in turn, and prints Markdown for benches/FIGURES.md. The floor (floor.c) only
//! reads the files and discards them. What cannot be measured on this machine is named and left out.

// A program for developers only: it may print and panic.
#![allow(clippy::print_stderr, clippy::print_stdout)]

mod children;
mod figures;
mod programs;
mod sections;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use sections::Bench;

/// The sizes of the loads.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Runs of each program; the median is reported.
    pub runs: usize,
    /// Processes, and threads of all of them, of the load for CPU affinity.
    pub crowd: (usize, usize),
    /// Loads for memory: processes, and MiB of each.
    pub memory: [(usize, usize); 2],
    /// Numbers of threads of the recorded machines.
    pub recorded: [usize; 3],
    /// MiB of the process that is disturbed.
    pub disturbed: usize,
    /// How long each program disturbs it, in milliseconds.
    pub disturbance: u64,
}

/// The sizes behind the figures of benches/FIGURES.md.
const WHOLE: Size = Size {
    runs: 5,
    crowd: (300, 3_000),
    memory: [(4, 1024), (2, 8192)],
    recorded: [50_000, 100_000, 200_000],
    disturbed: 8192,
    disturbance: 10_000,
};

/// The sizes that only check that everything works.
const QUICK: Size = Size {
    runs: 1,
    crowd: (20, 100),
    memory: [(2, 32), (1, 64)],
    recorded: [1_000, 2_000, 4_000],
    disturbed: 64,
    disturbance: 300,
};

fn main() -> ExitCode {
    // Cargo itself passes --bench.
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let (mut size, mut before) = (WHOLE, None);
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--quick" => size = QUICK,
            "--before" => before = arguments.next().map(PathBuf::from),
            _ => {
                eprintln!("usage: cargo bench --bench cost [-- [--quick] [--before PATH]]");
                return ExitCode::from(2);
            }
        }
    }
    match Bench::new(size, before).and_then(|bench| bench.run()) {
        Ok(markdown) => {
            print!("{markdown}");
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            eprintln!("cost: {trouble}");
            ExitCode::FAILURE
        }
    }
}
