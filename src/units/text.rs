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
pub(crate) fn number<T: std::str::FromStr>(what: &str, text: &[u8]) -> Result<T, Malformed> {
    let digits = std::str::from_utf8(text).unwrap_or_default();
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = digits.parse()
    {
        return Ok(number);
    }
    malformed(what, text)
}
