//! How long a process has existed.

use crate::document::{HostEntry, ProcessEntry};

/// As `ps` and `kubectl` print it: `12s`, `4m`, `3h10m`, `2d5h`. `None` where either time is unknown, or the process would be
/// younger than 0.
pub(crate) fn age(process: &ProcessEntry, host: &HostEntry) -> Option<String> {
    between(process.started_at.as_deref()?, host.recorded_at.as_deref()?)
}

fn between(start: &str, now: &str) -> Option<String> {
    let start = humantime::parse_rfc3339_weak(start).ok()?;
    let now = humantime::parse_rfc3339_weak(now).ok()?;
    let seconds = now.duration_since(start).ok()?.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    Some(match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{}m", minutes % 60),
        (days, hours, _) => format!("{days}d{}h", hours % 24),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "2023-11-14T22:13:30Z";

    #[test]
    fn an_age_has_two_units_at_most() {
        for (now, text) in [
            ("2023-11-14T22:13:59Z", "29s"),
            ("2023-11-14T22:15:30Z", "2m"),
            ("2023-11-15T01:23:59Z", "3h10m"),
            ("2023-11-17T03:13:59Z", "2d5h"),
        ] {
            assert_eq!(between(START, now).as_deref(), Some(text));
        }
    }

    #[test]
    fn an_age_that_cannot_be_is_left_out() {
        assert_eq!(between(START, "2023-11-14T22:13:29Z"), None);
        assert_eq!(between(START, "yesterday"), None);
        assert_eq!(between("\u{1b}", START), None);
    }
}
