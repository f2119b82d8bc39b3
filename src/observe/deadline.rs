//! The time limit of one observation.

use std::time::{Duration, Instant};

/// The end of an observation. What has not been read by then is reported as missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// The whole time that was allowed, for messages.
    pub(crate) allowed: Duration,
}

/// The clock cannot hold every duration: a very long one is replaced by 34 years.
const FAR: Duration = Duration::from_secs(1 << 30);

impl Deadline {
    pub(crate) fn within(allowed: Duration) -> Self {
        let far = || Instant::now() + FAR;
        Self {
            at: Instant::now().checked_add(allowed).unwrap_or_else(far),
            allowed,
        }
    }

    /// The time for one step that comes before the facts that decide, and whose amount other users choose: a quarter of the
    /// whole time. The last quarter of the whole is never part of it.
    pub(crate) fn share(&self) -> Self {
        let quarter = self.allowed.min(FAR) / 4;
        let latest = self.at.checked_sub(quarter).unwrap_or(self.at);
        let own = Instant::now().checked_add(quarter);
        Self {
            at: own.map_or(latest, |own| own.min(latest)),
            allowed: quarter,
        }
    }

    pub(crate) fn left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.left().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_leave_the_last_quarter() {
        let whole = Duration::from_secs(4000);
        let deadline = Deadline::within(whole);
        let share = deadline.share();
        assert_eq!(share.allowed, whole / 4);
        assert!(share.at < deadline.at - whole / 2);
        // After most of the time has passed.
        let late = Deadline {
            at: Instant::now() + Duration::from_secs(500),
            allowed: whole,
        };
        assert!(late.share().is_over() && !late.is_over());
        assert!(!Deadline::within(Duration::MAX).share().is_over());
    }
}
