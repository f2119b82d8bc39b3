//! A rule's text, as `rules` and `explain` print it.

use serde::Serialize;

use crate::words::{Severity, Word};

/// A rule's name and explanation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RuleText {
    /// Its name.
    pub(crate) name: &'static str,
    /// How severe it is to break it.
    pub(crate) severity: Word<Severity>,
    /// A paragraph each: what it finds, why that costs, what it cannot know, what to do.
    pub(crate) explanation: Vec<String>,
}
