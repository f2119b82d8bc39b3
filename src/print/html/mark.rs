//! Verdicts and severities: a symbol, a word and a colour, which never stands alone.

use maud::{Markup, html};

use crate::print::{harmless, verdict};
use crate::words::{Severity, Verdict, Word};

/// How bad something is, as a class of the style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// All is well.
    Good,
    /// It may cost.
    Risk,
    /// It costs now.
    Bad,
    /// It could not be judged.
    Open,
    /// Nothing is judged.
    Plain,
}

impl Mood {
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Risk => "risk",
            Self::Bad => "bad",
            Self::Open => "open",
            Self::Plain => "plain",
        }
    }

    /// A letter that all fonts have, and that differs in its shape.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Risk => "▲",
            Self::Bad => "✕",
            Self::Open => "?",
            Self::Plain => "–",
        }
    }

    pub(super) fn of_verdict(verdict: Option<&Word<Verdict>>) -> Self {
        match verdict.and_then(Word::known) {
            Some(Verdict::Ok | Verdict::SingleNode) => Self::Good,
            Some(Verdict::AtRisk) => Self::Risk,
            Some(Verdict::Mismatch) => Self::Bad,
            Some(Verdict::Unknown) => Self::Open,
            None => Self::Plain,
        }
    }

    pub(super) fn of_severity(severity: Option<Severity>) -> Self {
        match severity {
            Some(Severity::Error) => Self::Bad,
            Some(Severity::Warning) => Self::Risk,
            Some(Severity::Info) | None => Self::Plain,
        }
    }
}

/// A symbol and a word. A screen reader reads the word alone.
pub(super) fn mark(mood: Mood, word: &str) -> Markup {
    html! {
        span class={ "mark " (mood.class()) } {
            span class="symbol" aria-hidden="true" { (mood.symbol()) }
            " " (word)
        }
    }
}

/// The verdict of a process.
pub(super) fn verdict_mark(word: Option<&Word<Verdict>>) -> Markup {
    let text = match word {
        None => "not judged".to_owned(),
        some => verdict(some),
    };
    mark(Mood::of_verdict(word), &text)
}

/// The severity of a finding.
pub(super) fn severity_mark(word: &Word<Severity>) -> Markup {
    mark(Mood::of_severity(word.known()), &harmless(word.as_str()))
}
