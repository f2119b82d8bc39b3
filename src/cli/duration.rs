//! Durations with limits, as typed: 10s, 500ms, 24h.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A duration within `range`.
///
/// # Errors
/// What is wrong with the text; `words` says the range: `from 1s to 24h`.
pub(super) fn within(
    text: &str,
    range: &RangeInclusive<Duration>,
    words: &str,
) -> Result<Duration, String> {
    let length = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    match range.contains(&length) {
        true => Ok(length),
        false => Err(format!("not {words}")),
    }
}

/// A day: what is longer is a typing mistake.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_are_allowed() {
        let range = Duration::from_millis(500)..=Duration::from_secs(60);
        let typed = |text| within(text, &range, "from 500ms to 1m");
        assert_eq!(typed("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(typed("1m"), Ok(Duration::from_secs(60)));
        for text in ["499ms", "61s", "0s"] {
            assert_eq!(typed(text), Err("not from 500ms to 1m".to_owned()));
        }
        assert!(typed("soon").is_err());
    }
}
