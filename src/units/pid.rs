//! A process ID.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::text::{Malformed, number};

/// A process's number in the observer's PID namespace.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct Pid(pub(crate) u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Pid {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        number("not a PID", text.as_bytes()).map(Self)
    }
}
