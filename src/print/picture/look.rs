//! How things look by their verdicts. Each look has a colour, a symbol and words, so that no colour is needed.

use crate::words::{Verdict, Word};

/// A look. The later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    /// Not judged.
    Plain,
    /// On a machine of one node.
    Single,
    /// Local and bound.
    Fine,
    /// It could not be judged.
    Unknown,
    AtRisk,
    Wrong,
}

impl Look {
    pub(super) fn of(verdict: Option<&Word<Verdict>>) -> Self {
        match verdict.and_then(Word::known) {
            Some(Verdict::Ok) => Self::Fine,
            Some(Verdict::AtRisk) => Self::AtRisk,
            Some(Verdict::Mismatch) => Self::Wrong,
            Some(Verdict::Unknown) => Self::Unknown,
            Some(Verdict::SingleNode) => Self::Single,
            None if verdict.is_some() => Self::Unknown,
            None => Self::Plain,
        }
    }

    /// The end of its classes' names.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Single => "single",
            Self::Fine => "ok",
            Self::Unknown => "unknown",
            Self::AtRisk => "risk",
            Self::Wrong => "bad",
        }
    }

    /// Its words in the legend. Empty for what is not judged.
    pub(super) fn meaning(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Single => "one node: cannot be wrong",
            Self::Fine => "local and bound",
            Self::Unknown => "could not be judged",
            Self::AtRisk => "at risk: not bound, near or crowded",
            Self::Wrong => "remote: CPUs or memory on another node",
        }
    }
}
