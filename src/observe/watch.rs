//! Observes processes for a time window (`--for`).

pub(crate) mod counters;
pub(crate) mod interrupt;
pub(crate) mod sched;
pub(crate) mod tally;
pub(crate) mod window;
