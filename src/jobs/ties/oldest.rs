//! The oldest trainers, by user: whether any can be that of a worker, without a look at each.

use std::collections::BTreeMap;

use crate::machine::Process;

/// The start time of the oldest trainer of each user, some of whom are unknown.
#[derive(Debug, Default)]
pub(super) struct Oldest(BTreeMap<Option<u32>, u64>);

impl Oldest {
    /// Adds one.
    pub(super) fn add(&mut self, trainer: &Process) {
        let oldest = self.0.entry(trainer.uid).or_insert(u64::MAX);
        *oldest = trainer.start_time_ticks.min(*oldest);
    }

    /// Whether one of them can be older than the worker and of the same user.
    pub(super) fn can_have(&self, worker: &Process) -> bool {
        let is_older = |start: &u64| *start <= worker.start_time_ticks;
        match worker.uid {
            None => self.0.values().any(is_older),
            user => [user, None]
                .iter()
                .filter_map(|user| self.0.get(user))
                .any(is_older),
        }
    }
}
