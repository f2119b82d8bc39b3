//! Durations as text.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::units::percent::percent;

/// When a process or thread started, in clock ticks after boot. An `Option` of it needs no more room than the number: a
/// machine may have hundreds of thousands of threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StartTicks(NonZeroU64);

impl From<u64> for StartTicks {
    fn from(ticks: u64) -> Self {
        // One more, because a process may have started at 0. The last number is 2 billion years after boot.
        Self(NonZeroU64::MIN.saturating_add(ticks))
    }
}

/// `3 s`, `0.5 s`: as exact as the duration.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The share of `part` in `all` in whole percent; see [`percent`].
pub(crate) fn percent_of_time(part: Duration, all: Duration) -> String {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    percent(micros(part), micros(all))
}

/// `500 ms`, `3.2 s`, `10 s`: rounded to a tenth of a second from one second on.
pub(crate) fn length(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    match (time.as_millis(), tenths % 10) {
        (0..1000, _) => format!("{} ms", time.as_millis()),
        (_, 0) => format!("{} s", tenths / 10),
        _ => format!("{}.{} s", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_ordered_and_an_unknown_one_needs_no_room() {
        let times = [0, 1, 2, u64::MAX].map(StartTicks::from);
        assert!(times.is_sorted() && times[0] != times[1]);
        assert_eq!(size_of::<Option<StartTicks>>(), size_of::<u64>());
    }

    #[test]
    fn lengths_are_rounded_to_tenths_of_a_second() {
        let printed = |millis| length(Duration::from_millis(millis));
        assert_eq!(printed(500), "500 ms");
        assert_eq!(printed(999), "999 ms");
        assert_eq!(printed(1000), "1 s");
        assert_eq!(printed(10_003), "10 s");
        assert_eq!(printed(3_249), "3.2 s");
        assert_eq!(printed(59_960), "60 s");
    }
}
