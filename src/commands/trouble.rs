//! Why the program could not run.

use std::io::{self, Write};

use crate::print::harmless;

pub(super) type Trouble = Box<dyn std::error::Error>;

/// Prints it to standard error. If that fails, nothing is left to report it to.
pub(super) fn complain(trouble: &Trouble) {
    let text = harmless(&trouble.to_string());
    let _ = writeln!(io::stderr(), "numa-audit: {text}");
}
