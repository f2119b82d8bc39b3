//! How much memory may be elsewhere.

use crate::units::Bytes;

/// Memory off the local nodes is a mismatch if it exceeds both limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Percent of a process's working memory.
    pub(crate) remote_percent: u8,
    /// A size.
    pub(crate) remote_bytes: Bytes,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            remote_percent: 10,
            remote_bytes: Bytes(16 << 20),
        }
    }
}

impl Limits {
    /// Whether `off` bytes of `all` exceed both limits.
    pub(crate) fn exceeds(&self, off: Bytes, all: Bytes) -> bool {
        let share = u128::from(off.0) * 100;
        off > self.remote_bytes && share > u128::from(all.0) * u128::from(self.remote_percent)
    }
}
