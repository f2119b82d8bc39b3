//! Lists of numbers as the kernel prints them: `0-1,3` (its `%*pbl`).

use crate::units::text::{Malformed, malformed, number, value};

/// No kernel is built for more CPUs (NR_CPUS is 8192 at most) or nodes (1024). The bound keeps every set small.
pub(crate) const LIMIT: u32 = 1 << 16;

/// The numbers of a file with one list. An empty line is the empty list; an empty file is an error, because the kernel ends
/// every list with a newline.
pub(super) fn parse_list(bytes: &[u8]) -> Result<impl Iterator<Item = u32>, Malformed> {
    if bytes.is_empty() {
        return malformed("an empty file", bytes);
    }
    parse_numbers(value(bytes))
}

/// The numbers of a list. The empty text is the empty list.
pub(super) fn parse_numbers(text: &str) -> Result<impl Iterator<Item = u32> + use<>, Malformed> {
    const WHAT: &str = "not a list of numbers";
    let mut ranges = Vec::new();
    let mut next = 0;
    for part in text.split(',').filter(|_| !text.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u32 = number(WHAT, first.as_bytes())?;
        let last: u32 = number(WHAT, last.as_bytes())?;
        // Ascending and without repeats, so that no list is longer than the limit.
        if first < next || first > last || last >= LIMIT {
            return malformed(WHAT, part.as_bytes());
        }
        ranges.push(first..=last);
        next = last + 1;
    }
    Ok(ranges.into_iter().flatten())
}

/// Ascending numbers as a list; the empty string for none.
pub(crate) fn ranges(numbers: impl IntoIterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, end)) if end.checked_add(1) == Some(number) => *end = number,
            _ => runs.push((number, number)),
        }
    }
    let runs = runs.iter().map(|(first, last)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    });
    runs.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_printed_as_the_kernel_prints_them() {
        assert_eq!(ranges([]), "");
        assert_eq!(ranges([0, 1, 3, 64, 65, 66]), "0-1,3,64-66");
        assert_eq!(ranges([u32::MAX, 0]), "4294967295,0");
    }
}
