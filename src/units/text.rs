//! The kernel's and the driver's text to model values: pure, and without a panic for any input.

/// A text that does not follow its format: says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// The longest piece of somebody's text that an error message repeats.
pub(crate) const QUOTED: usize = 60;

pub(crate) fn malformed<T>(what: &str, text: &[u8]) -> Result<T, Malformed> {
    let text = String::from_utf8_lossy(&text[..text.len().min(QUOTED)]);
    Err(Malformed(format!("{what}: {text:?}")))
}

/// The text of a file of one value: up to the first NUL (recorded sysfs files may end in some),
/// without blanks around it.
pub fn value(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0);
    let bytes = &bytes[..end.unwrap_or(bytes.len())];
    std::str::from_utf8(bytes).unwrap_or_default().trim()
}

/// A decimal number of digits alone: no sign, no blank, none missing.
pub fn number<T: std::str::FromStr>(what: &str, text: &[u8]) -> Result<T, Malformed> {
    let digits = std::str::from_utf8(text).unwrap_or_default();
    if digits.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(number) = digits.parse()
    {
        return Ok(number);
    }
    malformed(what, text)
}
