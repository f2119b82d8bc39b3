//! What a rule says: evidence as data, and what would fix it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::units::{Bytes, CpuSet, NodeSet, Pid};
pub(crate) use crate::words::Severity;

/// Facts by name. Unknown facts are left out.
pub(crate) type Evidence = BTreeMap<&'static str, Value>;

/// A fact of the evidence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
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
    /// A word, or text from outside.
    Text(String),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nodes(nodes) => nodes.serialize(serializer),
            Self::Cpus(cpus) => cpus.serialize(serializer),
            Self::Pids(pids) => pids.serialize(serializer),
            Self::Bytes(bytes) => bytes.serialize(serializer),
            Self::Count(count) => count.serialize(serializer),
            Self::Share(share) => share.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
        }
    }
}

/// What would fix it. This program never runs any of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Remedy {
    /// In words.
    pub(crate) text: String,
    /// Lines for a shell, for the running processes.
    pub(crate) commands: Vec<String>,
    /// The limits of the fix; empty where there are none.
    pub(crate) note: String,
}

/// Between the fix and its notes, and between two notes.
pub(crate) const NOTE_SEPARATOR: &str = "; ";

impl Remedy {
    /// A remedy without commands.
    pub(crate) fn in_words(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

impl fmt::Display for Remedy {
    /// As one sentence, without the commands.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if self.note.is_empty() {
            Ok(())
        } else {
            write!(f, "{NOTE_SEPARATOR}{}", self.note)
        }
    }
}
