//! Processes watched over a while.

pub mod counters;
pub mod interrupt;
pub mod sched;
pub mod tally;
pub mod window;
