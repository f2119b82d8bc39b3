//! The sum of a document, and shares of local memory.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::words::{Verdict, Word};

/// The processes counted by verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Summary {
    /// The worst verdict of all. Unknown also where processes may be hidden.
    #[serde(default)]
    pub(crate) verdict: Word<Verdict>,
    /// The judged processes.
    #[serde(default)]
    pub(crate) processes: usize,
    /// Those that are ok or single-node.
    #[serde(default)]
    pub(crate) ok: usize,
    /// Those that are at-risk.
    #[serde(default)]
    pub(crate) at_risk: usize,
    /// Those that are a mismatch.
    #[serde(default)]
    pub(crate) mismatch: usize,
    /// Those that could not be judged.
    #[serde(default)]
    pub(crate) unknown: usize,
    /// Whether everything in scope could be read and judged. Null in a document of an older version.
    pub(crate) complete: Option<bool>,
    /// The share of all working memory that is local: from 0 to 1. Memory that several processes share counts in each. Null
    /// where there is none or it is unknown.
    #[serde(default, deserialize_with = "fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) local_fraction: Option<f64>,
    /// Whether every page was counted.
    #[serde(default)]
    pub(crate) exact: Option<bool>,
    /// By how much local_fraction may be wrong at most: from 0 to 1. Null where it is exact or unknown.
    #[serde(default, deserialize_with = "fraction")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) error: Option<f64>,
}

impl Summary {
    /// Whether everything could be judged. Documents of older versions say it by the verdict alone.
    pub(crate) fn is_complete(&self) -> bool {
        let is_unknown = self.verdict == Verdict::Unknown;
        self.complete.unwrap_or(!is_unknown)
    }

    /// How much of all working memory is local.
    pub(crate) fn local(&self) -> LocalShare {
        LocalShare {
            local_fraction: self.local_fraction,
            exact: self.exact != Some(false),
            error: self.error,
        }
    }
}

/// How much of a memory is local.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LocalShare {
    /// From 0 to 1; `None` where it is unknown, and where there is no memory.
    pub(crate) local_fraction: Option<f64>,
    /// Whether every page was counted.
    pub(crate) exact: bool,
    /// By how much the fraction may be wrong, from 0 to 1; `None` where it is exact or unknown.
    pub(crate) error: Option<f64>,
}

/// Reads a number from 0 to 1. Any other number counts as unknown.
pub(crate) fn fraction<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    let number = Option::<f64>::deserialize(deserializer)?;
    Ok(number.filter(|number| (0.0..=1.0).contains(number)))
}
