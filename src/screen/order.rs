//! The order of the rows.

use std::cmp::Ordering;

use crate::document::ProcessEntry;
use crate::units::Bytes;

/// A column to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// The header of the column.
    pub(crate) header: &'static str,
    /// Whether the largest come first.
    pub(crate) is_descending: bool,
}

impl Order {
    /// By this column: as it is most useful, so the worst and the largest first.
    pub(crate) fn by(header: &'static str) -> Self {
        let is_descending = ["VERDICT", "MEMORY BY NODE", "CPU", "MOVES", "AGE"].contains(&header);
        Self {
            header,
            is_descending,
        }
    }

    /// The same column the other way round.
    pub(crate) fn reversed(self) -> Self {
        Self {
            is_descending: !self.is_descending,
            ..self
        }
    }

    /// Compares two rows by their first processes and the text of their cells.
    pub(crate) fn compare(
        self,
        one: (&ProcessEntry, &str),
        other: (&ProcessEntry, &str),
    ) -> Ordering {
        let order = match self.header {
            "VERDICT" => verdict(one.0).cmp(&verdict(other.0)),
            "MEMORY BY NODE" => memory(one.0).cmp(&memory(other.0)),
            // The younger has the later start.
            "AGE" => other.0.start_time_ticks.cmp(&one.0.start_time_ticks),
            _ => natural(one.1, other.1),
        };
        match self.is_descending {
            true => order.reverse(),
            false => order,
        }
    }
}

/// Processes that are not judged come first.
fn verdict(process: &ProcessEntry) -> Option<impl Ord> {
    process.verdict.as_ref().map(|word| word.known())
}

fn memory(process: &ProcessEntry) -> Option<Bytes> {
    process.memory.total()
}

/// Numbers within texts by their values: `2` before `10`.
fn natural(one: &str, other: &str) -> Ordering {
    let parts = |text: &str| {
        let mut parts: Vec<(u64, String)> = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let number = rest[..digits].parse().unwrap_or(u64::MAX);
            let letters = rest[digits..].find(|letter: char| letter.is_ascii_digit());
            let end = letters.map_or(rest.len(), |letters| digits + letters);
            parts.push(match digits {
                0 => (u64::MAX, rest[..end].to_lowercase()),
                _ => (number, rest[digits..end].to_lowercase()),
            });
            rest = &rest[end..];
        }
        parts
    };
    parts(one).cmp(&parts(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let mut texts = ["10", "?", "9", "2-3", "", "b2", "b10", "105%"];
        texts.sort_by(|one, other| natural(one, other));
        assert_eq!(texts, ["", "2-3", "9", "10", "105%", "?", "b2", "b10"]);
    }
}
