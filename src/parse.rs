//! The kernel's and the driver's text to model values: pure, and without a panic for any input.

pub mod ask;
pub mod cgroup;
pub mod counters;
pub mod drm;
pub mod fd;
pub mod kfd;
pub mod list;
pub mod maps;
pub mod mountinfo;
pub mod node;
pub mod numa_maps;
pub mod numa_stat;
pub mod nvidia;
pub mod report;
pub mod sched;
pub mod snapshot;
pub mod stat;
pub mod status;
pub mod topology_file;
pub mod words;

use crate::model::gap::Reason;

/// A text that does not follow its format: says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl From<Malformed> for Reason {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}

/// The longest piece of somebody's text that an error message repeats.
const QUOTED: usize = 60;

fn malformed<T>(what: &str, text: &[u8]) -> Result<T, Malformed> {
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
