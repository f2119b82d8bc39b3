//! Sizes in bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::nodes::NodeId;
use crate::units::percent::percent;

/// A number of bytes; a plain number in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Bytes(pub(crate) u64);

impl Bytes {
    /// `None` beyond 64 bits.
    pub(crate) fn from_kib(kib: u64) -> Option<Self> {
        kib.checked_mul(1024).map(Self)
    }

    /// Its share of `all` in whole percent; see [`percent`].
    pub(crate) fn percent_of(self, all: Self) -> String {
        percent(self.0, all.0)
    }

    /// `None` beyond 64 bits.
    pub(crate) fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl std::fmt::Display for Bytes {
    /// As people write it: `0 B`, `12 KiB`, `602 MiB`, `1.9 GiB`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1023.5 && unit + 1 < UNITS.len() {
            size /= 1024.0;
            unit += 1;
        }
        let digits = usize::from(size < 9.95 && UNITS[unit] != "KiB");
        write!(f, "{size:.digits$} {}", UNITS[unit])
    }
}

impl std::iter::Sum for Bytes {
    /// Saturates: a recorded tree may claim more than 16 EiB.
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self(0), |sum, part| Self(sum.0.saturating_add(part.0)))
    }
}

/// Bytes by node. Nodes without any are left out.
pub(crate) type NodeBytes = BTreeMap<NodeId, Bytes>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_0_or_100_percent_only_where_it_is_exactly_that() {
        let percent = |part| Bytes(part).percent_of(Bytes(1000));
        assert_eq!(
            [0, 1, 500, 999, 1000].map(percent),
            ["0%", "<1%", "50%", ">99%", "100%"]
        );
    }

    #[test]
    fn sizes_are_printed_in_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (4096, "4 KiB"),
            (631_521_280, "602 MiB"),
            (2_040_109_466, "1.9 GiB"),
            ((1 << 30) - 1, "1.0 GiB"),
            (150_754_820_096, "140 GiB"),
            (u64::MAX, "16 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
