//! The metrics of the latest audit, shared between the one who audits and the one who answers scrapes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The text of the latest audit.
pub(super) struct Latest {
    text: Mutex<Option<Text>>,
    start: Instant,
    /// From this age on audits do not go on as they should.
    stale: Duration,
}

#[derive(Clone)]
struct Text {
    bytes: Arc<[u8]>,
    since: Instant,
}

impl Latest {
    /// No text yet.
    pub(super) fn new(stale: Duration) -> Self {
        Self {
            text: Mutex::new(None),
            start: Instant::now(),
            stale,
        }
    }

    /// Replaces the text.
    pub(super) fn set(&self, text: &[u8]) {
        let text = Text {
            bytes: text.into(),
            since: Instant::now(),
        };
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    /// The text; `None` before the first audit has ended.
    pub(super) fn text(&self) -> Option<Arc<[u8]>> {
        self.get().map(|text| text.bytes)
    }

    /// Whether audits go on at `now`.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let since = self.get().map_or(self.start, |text| text.since);
        now.saturating_duration_since(since) < self.stale
    }

    fn get(&self) -> Option<Text> {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_gets_stale() {
        let hour = Duration::from_secs(3600);
        let latest = Latest::new(hour);
        assert_eq!(latest.text(), None);
        let now = Instant::now();
        assert!(latest.is_fresh(now));
        assert!(!latest.is_fresh(now + hour));
        latest.set(b"x 1\n");
        assert_eq!(latest.text().as_deref(), Some(&b"x 1\n"[..]));
        assert!(latest.is_fresh(now) && !latest.is_fresh(Instant::now() + hour));
    }
}
