//! Findings: a broken rule with its evidence, as data.

use std::collections::BTreeMap;
use std::fmt;

use crate::units::{Bytes, CpuSet, NodeSet, Pid};

/// One broken rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule's public name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The GPUs that it is about, by index.
    pub gpus: Vec<u32>,
    /// Who breaks it.
    pub pids: Vec<Pid>,
    /// One sentence.
    pub message: String,
    /// What the sentence rests on, by name.
    pub evidence: Evidence,
    /// What to do.
    pub remedy: Remedy,
}

/// Facts by name. One that is not known is not among them.
pub type Evidence = BTreeMap<&'static str, Value>;

/// A fact of the evidence.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nodes.
    Nodes(NodeSet),
    /// CPUs.
    Cpus(CpuSet),
    /// Processes.
    Pids(Vec<Pid>),
    /// A size.
    Bytes(Bytes),
    /// A number of things.
    Count(usize),
    /// From 0 to 1.
    Share(f64),
    /// A text that somebody else wrote, or a word.
    Text(String),
}

/// What would mend it. Nothing of it is ever run by this program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remedy {
    /// In words.
    pub words: String,
    /// Lines to paste into a shell, for what is running now.
    pub commands: Vec<String>,
    /// What it will not do; empty where there is nothing to warn of.
    pub but: String,
}

impl Remedy {
    /// One that is words alone.
    pub fn in_words(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Remedy {
    /// As one sentence, without the commands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)?;
        if self.but.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.but)
        }
    }
}

/// How bad a finding is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It costs throughput now.
    Error,
    /// It may.
    Warning,
    /// Good to know.
    Info,
}

impl Severity {
    /// The severity of this word; `None` for a word that is none.
    pub fn named(word: &str) -> Option<Self> {
        let mut all = [Self::Error, Self::Warning, Self::Info].into_iter();
        all.find(|severity| severity.to_string() == word)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}
