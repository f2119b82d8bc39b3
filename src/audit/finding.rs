//! Findings: a broken rule with its evidence, as data.

use std::fmt;

use crate::model::process::Pid;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's public name.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The GPU that it is about, by index.
    pub gpu: Option<u32>,
    /// Who breaks it.
    pub pids: Vec<Pid>,
    /// One sentence with the evidence.
    pub message: String,
    /// What to do, in words.
    pub remedy: String,
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

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}
