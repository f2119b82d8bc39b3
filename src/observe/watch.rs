//! Observes processes for a time window (`--for`).

pub(crate) mod continuous;
pub(crate) mod counters;
pub(crate) mod interrupt;
pub(crate) mod sampler;
pub(crate) mod sched;
pub(crate) mod tally;
pub(crate) mod window;

pub(crate) use counters::{counted_between, read_numastat, read_vmstat};
pub(crate) use interrupt::Interrupt;
pub(crate) use sampler::Sampler;
pub(crate) use sched::read_pages_migrated;
pub(crate) use tally::{Clock, Tallies, Tally, ThreadSample};
