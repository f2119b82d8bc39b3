//! Observes processes for a time window (`--for`).

pub mod counters;
pub(crate) mod interrupt;
pub mod sched;
pub(crate) mod tally;
pub(crate) mod window;
