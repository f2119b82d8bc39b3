//! Times as text.

use std::time::Duration;

use crate::units::percent::percent;

/// A time in words: `3 s`, `0.5 s`.
pub fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}

/// The share of CPU time in whole percents.
pub fn percent_of_time(part: Duration, all: Duration) -> String {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    percent(micros(part), micros(all))
}

/// A length of time for people: `500 ms`, `3.2 s`, `10 s`.
pub fn length(time: Duration) -> String {
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
    fn lengths_read_as_people_write_them() {
        let told = |millis| length(Duration::from_millis(millis));
        assert_eq!(told(500), "500 ms");
        assert_eq!(told(999), "999 ms");
        assert_eq!(told(1000), "1 s");
        assert_eq!(told(10_003), "10 s");
        assert_eq!(told(3_249), "3.2 s");
        assert_eq!(told(59_960), "60 s");
    }
}
