//! A finding in the document.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::units::Pid;
use crate::words::{Severity, Word};

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Finding {
    /// The rule's name, as numa-audit rules lists it.
    pub(crate) rule: String,
    /// How severe it is.
    #[serde(default)]
    pub(crate) severity: Word<Severity>,
    /// The first of its GPUs; null for a finding about none.
    pub(crate) gpu: Option<u32>,
    /// The indexes of the GPUs that it is about.
    #[serde(default)]
    pub(crate) gpus: Vec<u32>,
    /// The PIDs of the processes that break the rule.
    #[serde(default)]
    pub(crate) pids: Vec<Pid>,
    /// One sentence.
    #[serde(default)]
    pub(crate) message: String,
    /// The facts behind the sentence, by name. Unknown facts are left out.
    #[serde(default)]
    pub(crate) evidence: BTreeMap<String, Value>,
    /// What would fix it, and the limits of that.
    #[serde(default)]
    pub(crate) remedy: String,
    /// Lines for a shell that fix it for the running processes. This program never runs them.
    #[serde(default)]
    pub(crate) commands: Vec<String>,
    /// The limits of the fix, which end the text of remedy too. Absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

impl Finding {
    /// What would fix it, without the note.
    pub(crate) fn fix(&self) -> &str {
        let note = self.note.as_deref();
        let fix = note.and_then(|note| self.remedy.strip_suffix(note)?.strip_suffix("; "));
        fix.unwrap_or(&self.remedy)
    }
}
