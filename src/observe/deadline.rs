//! The time limit of one observation.

use std::time::{Duration, Instant};

/// The end of an observation. What has not been read by then is reported as missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// The whole time that was allowed, for messages.
    pub(crate) allowed: Duration,
}

impl Deadline {
    pub(crate) fn within(allowed: Duration) -> Self {
        // The clock cannot hold every duration: a very long one is replaced by 34 years.
        let far = || Instant::now() + Duration::from_secs(1 << 30);
        Self {
            at: Instant::now().checked_add(allowed).unwrap_or_else(far),
            allowed,
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}
