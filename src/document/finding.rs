//! A finding in the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::units::Pid;
use crate::words::{Severity, Word};

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule's name, as numa-audit rules lists it.
    pub rule: String,
    /// How severe it is.
    #[serde(default)]
    pub severity: Word<Severity>,
    /// The first of its GPUs; null for a finding about none.
    pub gpu: Option<u32>,
    /// The indexes of the GPUs that it is about.
    #[serde(default)]
    pub gpus: Vec<u32>,
    /// The PIDs of the processes that break the rule.
    #[serde(default)]
    pub pids: Vec<Pid>,
    /// One sentence.
    #[serde(default)]
    pub message: String,
    /// The facts behind the sentence, by name. Unknown facts are left out.
    #[serde(default)]
    pub evidence: BTreeMap<String, Value>,
    /// What would fix it, and the limits of that.
    #[serde(default)]
    pub remedy: String,
    /// Lines for a shell that fix it for the running processes. This program never runs them.
    #[serde(default)]
    pub commands: Vec<String>,
    /// The limits of the fix, which end the text of remedy too. Absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Finding {
    /// What would fix it, without the note.
    pub(crate) fn fix(&self) -> &str {
        let note = self.note.as_deref();
        let fix = note.and_then(|note| self.remedy.strip_suffix(note)?.strip_suffix("; "));
        fix.unwrap_or(&self.remedy)
    }
}
