//! Text of the kernel and of the driver, read without a panic for any input.

/// Text that does not follow its format, with a description of the mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) String);

/// An error message quotes at most this many bytes.
pub(crate) const QUOTED: usize = 60;

pub(crate) fn malformed<T>(what: &str, text: &[u8]) -> Result<T, Malformed> {
    let text = String::from_utf8_lossy(&text[..text.len().min(QUOTED)]);
    Err(Malformed(format!("{what}: {text:?}")))
}

/// The text of a file with one value: up to the first NUL (recorded sysfs files may end in NULs), without white space around
/// it. Empty where it is not UTF-8.
pub(crate) fn value(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = &bytes[..end.unwrap_or(bytes.len())];
    std::str::from_utf8(bytes).unwrap_or_default().trim()
}

/// A decimal number of digits only: without sign and white space.
pub(crate) fn number<T: TryFrom<u64>>(what: &str, text: &[u8]) -> Result<T, Malformed> {
    match digits(text).map(T::try_from) {
        Some(Ok(number)) => Ok(number),
        _ => malformed(what, text),
    }
}

/// Thousands of files have dozens of numbers each: this takes a third of the time of `str::parse`.
fn digits(text: &[u8]) -> Option<u64> {
    /// No number of so many digits exceeds 64 bits.
    const SAFE: usize = 19;
    let mut number = 0_u64;
    for (at, byte) in text.iter().enumerate() {
        let digit = u64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        number = match at < SAFE {
            true => number * 10 + digit,
            false => number.checked_mul(10)?.checked_add(digit)?,
        };
    }
    (!text.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_largest_number_of_each_type_is_a_number() {
        assert_eq!(number("x", b"18446744073709551615"), Ok(u64::MAX));
        assert!(number::<u64>("x", b"18446744073709551616").is_err());
        assert!(number::<u64>("x", b"100000000000000000000").is_err());
        assert_eq!(number("x", b"4294967295"), Ok(u32::MAX));
        assert!(number::<u32>("x", b"4294967296").is_err());
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_the_standard_library(text in "[-+ ]?[0-9]{0,22}.?") {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            let expected = text.parse::<u32>().ok().filter(|_| digits);
            prop_assert_eq!(number::<u32>("x", text.as_bytes()).ok(), expected);
        }
    }
}
